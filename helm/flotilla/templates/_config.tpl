{{/* flotilla.toml: what the values decide, laid over what they pass on. */}}

{{- define "flotilla.config" -}}
{{- $config := dict }}
{{- include "flotilla.overlay" (dict "base" $config "over" (deepCopy .Values.config)) }}
{{- $set := dict
  "nats" (include "flotilla.config.nats" . | fromYaml)
  "streams" (dict "replicas" (include "flotilla.streamReplicas" . | int))
  "ops" (dict "listen" (printf "0.0.0.0:%s" (include "flotilla.opsPort" .)))
  "gateway" (include "flotilla.config.gateway" . | fromYaml)
  "browser" (ternary (dict "enabled" true "url" "http://127.0.0.1:9222") (dict "enabled" false) .Values.browser.enabled)
  "openai" (ternary (dict "api_key_file" "/run/secrets/openai/key") dict (ne .Values.openai.existingSecret ""))
  "chromadb" (include "flotilla.config.chromadb" . | fromYaml)
  "knowledge" (include "flotilla.config.knowledge" . | fromYaml)
}}
{{- if .Values.tracing.url }}
{{- $_ := set $set "telemetry" (dict "trace_url" .Values.tracing.url) }}
{{- end }}
{{- include "flotilla.overlay" (dict "base" $config "over" $set) }}
{{- include "flotilla.overlay" (dict "base" $config "over" (include "flotilla.config.categories" . | fromYaml)) }}
{{- range $section, $keys := $config }}
{{- if $keys }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ include "flotilla.toml" $value }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}

{{/* A value as TOML. Helm has read all numbers as fractions: whole ones are made whole again. */}}
{{- define "flotilla.toml" -}}
{{- if kindIs "map" . -}}
{ {{- range $index, $key := keys . | sortAlpha -}}
{{ if $index }}, {{ else }} {{ end }}{{ $key }} = {{ include "flotilla.toml" (get $ $key) }}
{{- end }} }
{{- else if kindIs "slice" . -}}
[{{ range $index, $value := . }}{{ if $index }}, {{ end }}{{ include "flotilla.toml" $value }}{{ end }}]
{{- else if kindIs "float64" . -}}
{{ if eq . (floor .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else if kindIs "string" . -}}
{{ toJson . }}
{{- else -}}
{{ . }}
{{- end }}
{{- end }}

{{- define "flotilla.opsPort" -}}9464{{- end }}

{{- define "flotilla.streamReplicas" -}}
{{- $fitting := ternary (ternary 3 1 (ge (int .Values.nats.replicas) 3)) 1 .Values.nats.enabled }}
{{- include "flotilla.setting" (list . "streams" "replicas" $fitting) }}
{{- end }}

{{- define "flotilla.natsUrl" -}}
{{- if .Values.nats.enabled }}
{{- printf "%s://%s-nats:4222" (ternary "tls" "nats" (ne .Values.nats.tls.existingSecret "")) (include "flotilla.fullname" .) }}
{{- else }}
{{- .Values.nats.url }}
{{- end }}
{{- end }}

{{- define "flotilla.config.nats" -}}
url: {{ include "flotilla.natsUrl" . | quote }}
{{- if .Values.nats.auth.credentialsKey }}
credentials_file: /run/secrets/nats/user
{{- else if .Values.nats.auth.existingSecret }}
nkey_seed_file: /run/secrets/nats/user
{{- end }}
{{- if .Values.nats.tls.existingSecret }}
tls_ca_file: /run/secrets/nats-tls/ca.crt
{{- end }}
{{- end }}

{{- define "flotilla.config.gateway" -}}
listen: "0.0.0.0:8080"
{{- /* By now routers have forgotten the pod (preStop): clients still have connections to it, which end with their next answers. */}}
leave_after: "2s"
drain_grace: {{ .Values.gateway.drainGrace | quote }}
{{- if .Values.gateway.apiKeys.existingSecret }}
keys_file: /run/secrets/api-keys/keys.json
{{- end }}
open_to_all: {{ .Values.gateway.openToAll }}
{{- end }}

{{- define "flotilla.config.chromadb" -}}
{{- with include "flotilla.chromadbUrl" . }}
url: {{ . | quote }}
{{- end }}
{{- if .Values.chromadb.existingSecret }}
token_file: /run/secrets/chromadb/token
{{- end }}
{{- end }}

{{- define "flotilla.chromadbUrl" -}}
{{- if .Values.chromadb.enabled }}
{{- printf "http://%s-chromadb:8000" (include "flotilla.fullname" .) }}
{{- else }}
{{- .Values.chromadb.url }}
{{- end }}
{{- end }}

{{- define "flotilla.config.knowledge" -}}
snapshot_dir: /var/lib/flotilla/index
{{- if .Values.model.existingClaim }}
model_dir: /var/lib/flotilla/model
{{- end }}
{{- end }}

{{/* The sections in which categories stand. */}}
{{- define "flotilla.config.categories" -}}
{{- $slots := dict }}
{{- $timeout := dict }}
{{- $reserved := dict }}
{{- $own := dict }}
{{- $onDemand := list }}
{{- $served := include "flotilla.served" . | fromYamlArray }}
{{- range $name := $served }}
{{- $v := dict }}
{{- include "flotilla.category" (dict "root" $ "name" $name "settled" $v) }}
{{- if $v.builtIn }}
{{- $_ := set $slots $name $v.slots }}
{{- $_ := set $timeout $name $v.timeout }}
{{- else }}
{{- $category := dict "slots" $v.slots "timeout" $v.timeout "priority" $v.priority }}
{{- if $v.idPrefix }}
{{- $_ := set $category "id_prefix" $v.idPrefix }}
{{- end }}
{{- $_ := set $own $name $category }}
{{- end }}
{{- if and (eq $v.autoscaling.type "keda") (eq (int $v.autoscaling.minReplicas) 0) }}
{{- $onDemand = append $onDemand $name }}
{{- end }}
{{- if $v.reserved }}
{{- $_ := set $reserved $name $v.reserved }}
{{- end }}
{{- end }}
{{- $worker := dict "drain_grace" .Values.defaults.drainGrace "slots" $slots "timeout" $timeout }}
{{- if $reserved }}
{{- $_ := set $worker "reserved" $reserved }}
{{- end }}
{{- $fleet := dict "categories" $served }}
{{- if $onDemand }}
{{- $_ := set $fleet "on_demand" $onDemand }}
{{- end }}
{{- toYaml (dict "fleet" $fleet "categories" $own "worker" $worker) }}
{{- end }}
