{{/* A kind of process of the fleet, whichever: gateway, stats, and each category. It is told by a dict:
root, component (its name), program, role (its user of NATS), v (its values, settled), category ("" for none),
and uses (what it needs beyond NATS). */}}

{{- define "flotilla.deployment" -}}
{{- $root := .root }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "flotilla.fullname" $root }}-{{ .component }}
  labels: {{- include "flotilla.labels" (list $root .component) | nindent 4 }}
spec:
  {{- if not .scaled }}
  replicas: {{ .v.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  minReadySeconds: 5
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {{- include "flotilla.selector" (list $root .component) | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "flotilla.podLabels" (list $root .component) | nindent 8 }}
        {{- with .v.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "flotilla.config" $root | sha256sum }}
        {{- with .v.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "flotilla.podCommon" (list $root .v) | nindent 6 }}
      terminationGracePeriodSeconds: {{ .v.terminationGracePeriodSeconds | default (include "flotilla.graceNeeded" .) }}
      {{- if not .v.affinity }}
      topologySpreadConstraints: {{- include "flotilla.spread" (list $root .component) | nindent 8 }}
      {{- end }}
      {{- $browser := and (has "browser" .uses) $root.Values.browser.enabled }}
      {{- if or $browser .v.sidecars }}
      # Sidecars as Kubernetes means them: they start before the process, and end after it has drained.
      initContainers:
        {{- if $browser }}
        {{- include "flotilla.browser" $root | nindent 8 }}
        {{- end }}
        {{- range .v.sidecars }}
        {{- $usual := dict "restartPolicy" "Always" "securityContext" (include "flotilla.containerSecurity" $root | fromYaml) }}
        {{- include "flotilla.overlay" (dict "base" $usual "over" .) }}
        {{- toYaml (list $usual) | nindent 8 }}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ .component }}
          {{- include "flotilla.container" . | nindent 10 }}
      volumes: {{- include "flotilla.volumes" . | nindent 8 }}
{{- end }}

{{- define "flotilla.container" -}}
{{- $root := .root -}}
image: {{ include "flotilla.image" (list $root.Values.image $root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
command: [/usr/local/bin/{{ .program }}]
securityContext: {{- include "flotilla.containerSecurity" $root | nindent 2 }}
env: {{- include "flotilla.env" . | nindent 2 }}
ports:
  {{- if eq .component "gateway" }}
  - {name: http, containerPort: 8080}
  {{- end }}
  - {name: ops, containerPort: {{ include "flotilla.opsPort" $root }}}
# Streams and consumers are ensured once there is a broker: half an hour of an outage is no reason to begin anew.
startupProbe:
  httpGet: {path: /startupz, port: ops}
  periodSeconds: 2
  failureThreshold: 900
livenessProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- if .v.preStopSeconds }}
lifecycle:
  preStop:
    sleep: {seconds: {{ .v.preStopSeconds }}}
{{- end }}
resources: {{- toYaml .v.resources | nindent 2 }}
volumeMounts: {{- include "flotilla.mounts" . | nindent 2 }}
{{- end }}

{{- define "flotilla.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "flotilla.fullname" .root }}-{{ .component }}
  labels: {{- include "flotilla.labels" (list .root .component) | nindent 4 }}
spec:
  maxUnavailable: 1
  # A pod that is not ready keeps nothing alive.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "flotilla.selector" (list .root .component) | nindent 6 }}
{{- end }}
