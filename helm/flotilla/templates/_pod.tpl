{{/* What pods of all kinds have, a server's as well, and the restricted profile: (list $ values) */}}
{{- define "flotilla.podCommon" -}}
{{- $root := index . 0 }}
{{- $v := index . 1 }}
serviceAccountName: {{ include "flotilla.serviceAccountName" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "flotilla.podSecurity" $root | nindent 2 }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flotilla.podSecurity" -}}
runAsNonRoot: true
{{- if ge (int .Values.podSecurity.runAsUser) 0 }}
runAsUser: {{ .Values.podSecurity.runAsUser }}
runAsGroup: {{ .Values.podSecurity.runAsUser }}
{{- end }}
{{- if ge (int .Values.podSecurity.fsGroup) 0 }}
fsGroup: {{ .Values.podSecurity.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "flotilla.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Over zones and over nodes, each new version for itself; rather badly than not at all. */}}
{{- define "flotilla.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels: {{- include "flotilla.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
