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
        {{- toYaml (list (set . "restartPolicy" "Always")) | nindent 8 }}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ .component }}
          {{- include "flotilla.container" . | nindent 10 }}
      volumes: {{- include "flotilla.volumes" . | nindent 8 }}
{{- end }}

{{/* What pods of all kinds have, a server's as well: (list $ values) */}}
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

{{- define "flotilla.env" -}}
{{- $root := .root -}}
- {name: FLOTILLA_CONFIG, value: /etc/flotilla/flotilla.toml}
{{- if and $root.Values.nats.auth.existingSecret (not $root.Values.nats.auth.credentialsKey) }}
- {name: FLOTILLA_NATS__ROLE, value: {{ .role }}}
{{- end }}
{{- if eq .program "flotilla-bridge" }}
- {name: FLOTILLA_BRIDGE__CATEGORIES, value: {{ list .category | toJson | quote }}}
{{- end }}
{{- if and .category (ne .v.drainGrace $root.Values.defaults.drainGrace) }}
- {name: FLOTILLA_WORKER__DRAIN_GRACE, value: {{ .v.drainGrace | quote }}}
{{- end }}
{{- with $root.Values.tracing }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_EXPORTER_OTLP_PROTOCOL, value: {{ .protocol }}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: "k8s.namespace.name={{ $root.Release.Namespace }},k8s.pod.name=$(POD_NAME)"}
{{- if .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .headersSecret }}, key: {{ .headersKey }}}}
{{- end }}
{{- range $name, $value := .variables }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .v.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "flotilla.mounts" -}}
{{- $values := .root.Values -}}
- {name: config, mountPath: /etc/flotilla, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if $values.nats.auth.existingSecret }}
- {name: nats-user, mountPath: /run/secrets/nats, readOnly: true}
{{- end }}
{{- if $values.nats.tls.existingSecret }}
- {name: nats-tls, mountPath: /run/secrets/nats-tls, readOnly: true}
{{- end }}
{{- if and (eq .component "gateway") $values.gateway.apiKeys.existingSecret }}
- {name: api-keys, mountPath: /run/secrets/api-keys, readOnly: true}
{{- end }}
{{- if and (has "openai" .uses) $values.openai.existingSecret }}
- {name: openai, mountPath: /run/secrets/openai, readOnly: true}
{{- end }}
{{- if and (has "chromadb" .uses) $values.chromadb.existingSecret }}
- {name: chromadb, mountPath: /run/secrets/chromadb, readOnly: true}
{{- end }}
{{- if and (has "model" .uses) $values.model.existingClaim }}
- {name: model, mountPath: /var/lib/flotilla/model, readOnly: true}
{{- end }}
{{- if has "index" .uses }}
- {name: index, mountPath: /var/lib/flotilla/index}
{{- end }}
{{- end }}

{{- define "flotilla.volumes" -}}
{{- $values := .root.Values -}}
- name: config
  configMap: {name: {{ include "flotilla.fullname" .root }}-config}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- with $values.nats.auth }}
{{- if .existingSecret }}
{{- $key := .credentialsKey | default (printf "%s.nk" ($.role | replace "." "-")) }}
{{- include "flotilla.secretVolume" (list "nats-user" .existingSecret $key "user") }}
{{- end }}
{{- end }}
{{- with $values.nats.tls.existingSecret }}
{{- include "flotilla.secretVolume" (list "nats-tls" . "ca.crt" "ca.crt") }}
{{- end }}
{{- if and (eq .component "gateway") $values.gateway.apiKeys.existingSecret }}
{{- include "flotilla.secretVolume" (list "api-keys" $values.gateway.apiKeys.existingSecret $values.gateway.apiKeys.key "keys.json") }}
{{- end }}
{{- if and (has "openai" .uses) $values.openai.existingSecret }}
{{- include "flotilla.secretVolume" (list "openai" $values.openai.existingSecret $values.openai.key "key") }}
{{- end }}
{{- if and (has "chromadb" .uses) $values.chromadb.existingSecret }}
{{- include "flotilla.secretVolume" (list "chromadb" $values.chromadb.existingSecret $values.chromadb.key "token") }}
{{- end }}
{{- if and (has "model" .uses) $values.model.existingClaim }}
- name: model
  persistentVolumeClaim: {claimName: {{ $values.model.existingClaim }}, readOnly: true}
{{- end }}
{{- if has "index" .uses }}
- name: index
  {{- if $values.index.existingClaim }}
  persistentVolumeClaim: {claimName: {{ $values.index.existingClaim }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $values.index.size }}}
  {{- end }}
{{- end }}
{{- if and (has "browser" .uses) $values.browser.enabled }}
- name: browser-shm
  emptyDir: {medium: Memory, sizeLimit: {{ $values.browser.sharedMemory }}}
- name: browser-tmp
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
{{- end }}

{{/* One key of a secret and no other: (list volume secret key path) */}}
{{- define "flotilla.secretVolume" }}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
    items: [{key: {{ index . 2 | quote }}, path: {{ index . 3 }}}]
{{- end }}

{{/* A Chromium for this pod alone. */}}
{{- define "flotilla.browser" -}}
- name: browser
  image: {{ include "flotilla.image" (list .Values.browser.image "") | quote }}
  imagePullPolicy: {{ .Values.browser.image.pullPolicy }}
  restartPolicy: Always
  command: {{- toYaml .Values.browser.command | nindent 4 }}
  args:
    - --headless
    # Chromium's own sandbox needs rights that the restricted profile does not give: the container takes its place.
    - --no-sandbox
    - --disable-gpu
    - --user-data-dir=/tmp/profile
    # For who shares this pod's network, and nobody else.
    - --remote-debugging-address=127.0.0.1
    - --remote-debugging-port=9222
    - about:blank
  env:
    - {name: HOME, value: /tmp}
  securityContext: {{- include "flotilla.containerSecurity" . | nindent 4 }}
  resources: {{- toYaml .Values.browser.resources | nindent 4 }}
  volumeMounts:
    - {name: browser-tmp, mountPath: /tmp}
    - {name: browser-shm, mountPath: /dev/shm}
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
