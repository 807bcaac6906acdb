{{/* What a process finds in its environment and in its files: one flotilla.toml for all, and of secrets only its own.
Each takes the dict of flotilla.deployment. */}}

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
{{- with .v.extraVolumeMounts }}
{{ toYaml . }}
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
{{- with .v.extraVolumes }}
{{ toYaml . }}
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
