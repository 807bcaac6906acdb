{{/* What has to agree, and the schema cannot see. Each message names the value to change. */}}

{{- define "flotilla.checks" -}}
{{- include "flotilla.checks.nats" . }}
{{- if .Values.nats.enabled }}
{{- include "flotilla.checks.store" . }}
{{- include "flotilla.checks.servers" . }}
{{- end }}
{{- include "flotilla.checks.gateway" . }}
{{- include "flotilla.checks.dependencies" . }}
{{- $root := . }}
{{- range $component := list "gateway" "stats" }}
{{- $v := dict }}
{{- include "flotilla.overlay" (dict "base" $v "over" (deepCopy $root.Values.defaults)) }}
{{- include "flotilla.overlay" (dict "base" $v "over" (deepCopy (get $root.Values $component))) }}
{{- include "flotilla.checks.grace" (dict "v" $v "where" $component) }}
{{- end }}
{{- range $name, $_ := .Values.categories }}
{{- $v := dict }}
{{- include "flotilla.category" (dict "root" $root "name" $name "settled" $v) }}
{{- include "flotilla.checks.category" (dict "root" $root "name" $name "v" $v "where" (printf "categories.%s" $name)) }}
{{- end }}
{{- if not (include "flotilla.served" . | fromYamlArray) }}
{{- fail "categories: all are disabled, and a fleet of none does nothing: enable one" }}
{{- end }}
{{- end }}

{{- define "flotilla.checks.grace" -}}
{{- $needed := include "flotilla.graceNeeded" . | int }}
{{- $given := int .v.terminationGracePeriodSeconds }}
{{- if and $given (lt $given $needed) }}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d, and the process would be killed while it drains: preStopSeconds %d + drainGrace %s + 2 s for the last spans + 5 s to spare are %d. Raise it to %d or more (0 has it computed), or shorten drainGrace" .where $given (int .v.preStopSeconds) .v.drainGrace $needed $needed) }}
{{- end }}
{{- end }}

{{- define "flotilla.checks.nats" -}}
{{- $nats := .Values.nats }}
{{- $copies := include "flotilla.streamReplicas" . | int }}
{{- if $nats.enabled }}
{{- if $nats.url }}
{{- fail "nats.url names a server of your own, and nats.enabled starts one: set nats.enabled to false, or leave nats.url empty" }}
{{- end }}
{{- if $nats.auth.credentialsKey }}
{{- fail "nats.auth.credentialsKey is for a server of your own: the one of this release knows nkeys, so leave it empty" }}
{{- end }}
{{- if gt $copies (int $nats.replicas) }}
{{- fail (printf "config.streams.replicas is %d, and nats.replicas only %d: a copy needs a server of its own. Raise nats.replicas to %d, or lower config.streams.replicas" $copies (int $nats.replicas) $copies) }}
{{- end }}
{{- if and (ge (int $nats.replicas) 3) (lt $copies 3) }}
{{- fail (printf "nats.replicas is %d, and config.streams.replicas %d: with one copy of each stream a lost server is lost tasks, whatever the others do. Set config.streams.replicas to 3, or leave it out" (int $nats.replicas) $copies) }}
{{- end }}
{{- else if not $nats.url }}
{{- fail "nats.url is empty: name your server, like tls://nats.example.com:4222, or set nats.enabled to true for one of this release" }}
{{- end }}
{{- if and $nats.auth.credentialsKey (not $nats.auth.existingSecret) }}
{{- fail "nats.auth.credentialsKey names a key of no secret: set nats.auth.existingSecret" }}
{{- end }}
{{- $streams := .Values.config.streams | default dict }}
{{- $lease := include "flotilla.milliseconds" (list (include "flotilla.setting" (list . "streams" "ack_wait" "30s")) "config.streams.ack_wait") | int64 }}
{{- $running := include "flotilla.milliseconds" (list (include "flotilla.setting" (list . "worker" "running_after" "500ms")) "config.worker.running_after") | int64 }}
{{- if lt $lease 1000 }}
{{- fail "config.streams.ack_wait must be 1s or longer: workers renew it three times within" }}
{{- end }}
{{- if ge $running $lease }}
{{- fail "config.worker.running_after must be shorter than config.streams.ack_wait, or a task could change hands unrecorded" }}
{{- end }}
{{- end }}

{{/* The server of this release has to hold what the streams reserve, and to take their messages. */}}
{{- define "flotilla.checks.store" -}}
{{- $message := include "flotilla.setting" (list . "streams" "task_bytes_max" 983040) | int64 }}
{{- if lt (int64 .Values.nats.maxPayload) (add $message 65536) }}
{{- fail (printf "nats.maxPayload is %d: set it to %d or more, 64 KiB above config.streams.task_bytes_max, or lower the latter" (int64 .Values.nats.maxPayload) (add $message 65536)) }}
{{- end }}
{{- $categories := include "flotilla.served" . | fromYamlArray | len }}
{{- /* The streams of the five categories that come with the fleet are made whether they are served or not. */}}
{{- range $name := include "flotilla.builtIn" . | fromYamlArray }}
{{- if not (has $name (include "flotilla.served" $ | fromYamlArray)) }}
{{- $categories = add1 $categories }}
{{- end }}
{{- end }}
{{- $reserved := mul $categories (include "flotilla.setting" (list . "streams" "tasks_bytes_max" 536870912) | int64) }}
{{- $others := dict "results_bytes_max" 1073741824 "dead_bytes_max" 268435456 "ended_bytes_max" 268435456
  "events_bytes_max" 134217728 "documents_bytes_max" 2147483648 "objects_bytes_max" 1073741824 }}
{{- range $key, $default := $others }}
{{- $reserved = add $reserved (include "flotilla.setting" (list $ "streams" $key $default) | int64) }}
{{- end }}
{{- $store := include "flotilla.natsStore" . | int64 }}
{{- if gt $reserved $store }}
{{- fail (printf "nats.storage.size is %s, nine tenths of which (%d bytes) are less than what the streams reserve (%d): raise it, or lower the limits of config.streams" .Values.nats.storage.size $store $reserved) }}
{{- end }}
{{- end }}

{{/* A server alone and a cluster do not read each other's streams, and one that leaves takes its copies along. Seen
only where helm talks to the cluster, on an upgrade. */}}
{{- define "flotilla.checks.servers" -}}
{{- $there := lookup "apps/v1" "StatefulSet" .Release.Namespace (printf "%s-nats" (include "flotilla.fullname" .)) }}
{{- $before := dig "spec" "replicas" 0 $there | int }}
{{- $after := int .Values.nats.replicas }}
{{- if and $before (ne $before $after) (or (eq $before 1) (lt $after $before)) }}
{{- fail (printf "nats.replicas is %d, and %d run: a server alone and a cluster do not read each other's streams, and servers that leave take their copies along, so that tasks would be lost. Leave it, or back the streams up (deploy/nats/backup.sh DIRECTORY), install anew with %d and new volumes, and restore them (deploy/nats/restore.sh --replace DIRECTORY %s), as deploy/KUBERNETES.md#backup-and-restore has it" $after $before $after (ternary "3" "1" (ge $after 3))) }}
{{- end }}
{{- end }}

{{- define "flotilla.checks.gateway" -}}
{{- $gateway := .Values.gateway }}
{{- if and (not $gateway.apiKeys.existingSecret) (not $gateway.openToAll) }}
{{- fail "gateway.apiKeys.existingSecret is empty: make keys (flotilla keys new ci --file keys.json --scope submit) and a secret of them (kubectl create secret generic flotilla-keys --from-file=keys.json), or set gateway.openToAll to true where something else decides who gets there" }}
{{- end }}
{{- if and $gateway.apiKeys.existingSecret $gateway.openToAll }}
{{- fail "gateway.openToAll would let in whoever has none of gateway.apiKeys.existingSecret: set one of them" }}
{{- end }}
{{- if and $gateway.ingress.enabled (not $gateway.ingress.hosts) }}
{{- fail "gateway.ingress.hosts is empty: name a host" }}
{{- end }}
{{- if and $gateway.httpRoute.enabled (not $gateway.httpRoute.parentRefs) }}
{{- fail "gateway.httpRoute.parentRefs is empty: name the Gateway that the route belongs to" }}
{{- end }}
{{- with $gateway.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail "gateway.autoscaling.minReplicas is above maxReplicas: lower it" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "flotilla.checks.dependencies" -}}
{{- if and .Values.chromadb.enabled .Values.chromadb.url }}
{{- fail "chromadb.url names a server of your own, and chromadb.enabled starts one: set one of them" }}
{{- end }}
{{- $openai := .Values.config.openai | default dict }}
{{- if and (or $openai.chat_model $openai.embedding_model) (not $openai.base_url) (not .Values.openai.existingSecret) }}
{{- fail "config.openai names a model, and without openai.existingSecret nothing is called: set it, or config.openai.base_url to an API of your own" }}
{{- end }}
{{- if and (eq (dig "knowledge" "embedder" "auto" .Values.config) "local") (not .Values.model.existingClaim) }}
{{- fail "config.knowledge.embedder is local, and there is no model: set model.existingClaim" }}
{{- end }}
{{- end }}

{{- define "flotilla.checks.category" -}}
{{- $v := .v }}
{{- $where := .where }}
{{- $component := include "flotilla.component" .name }}
{{- if has $component (list "gateway" "stats" "bridge" "rag-query" "nats" "nats-headless" "chromadb" "config" "test" "recording" "alerts") }}
{{- fail (printf "%s: this name means something else to the fleet or this chart: use another" $where) }}
{{- end }}
{{- $object := printf "%s-%s" (include "flotilla.fullname" .root) $component }}
{{- if gt (len $object) 63 }}
{{- fail (printf "%s: its objects would be called %s, and 63 characters is all that Kubernetes takes in a label: set a shorter fullnameOverride" $where $object) }}
{{- end }}
{{- if $v.builtIn }}
{{- if or $v.idPrefix (ne $v.priority "normal") }}
{{- fail (printf "%s: idPrefix and priority are for categories of your own; this one comes with its own, so leave them out" $where) }}
{{- end }}
{{- else if eq $v.handler "service" }}
{{- fail (printf "%s.handler is service, and Flotilla has none of that name: use bridge" $where) }}
{{- end }}
{{- if ge (int $v.reserved) (int $v.slots) }}
{{- fail (printf "%s.reserved is %d of %d slots: leave at least one to the other priorities" $where (int $v.reserved) (int $v.slots)) }}
{{- end }}
{{- if not (include "flotilla.milliseconds" (list $v.timeout (printf "%s.timeout" $where)) | int64) }}
{{- fail (printf "%s.timeout must be longer than 0" $where) }}
{{- end }}
{{- include "flotilla.checks.grace" . }}
{{- with $v.autoscaling }}
{{- if ne .type "none" }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "%s.autoscaling.minReplicas is above maxReplicas: lower it" $where) }}
{{- end }}
{{- if and (eq .type "hpa") (lt (int .minReplicas) 1) }}
{{- fail (printf "%s.autoscaling.minReplicas is 0, which an HPA cannot: set it to 1, or type to keda" $where) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
