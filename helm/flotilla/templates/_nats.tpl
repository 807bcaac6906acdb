{{/* The nats-server of this release. */}}

{{- define "flotilla.natsConf" -}}
{{- $nats := .Values.nats }}
{{- $name := printf "%s-nats" (include "flotilla.fullname" .) }}
server_name: $POD_NAME
listen: "0.0.0.0:4222"
# For the probes of this pod alone, see its network policy.
http: "0.0.0.0:8222"
pid_file: "/run/nats/nats.pid"
max_payload: {{ int64 $nats.maxPayload }}
lame_duck_grace_period: "10s"
lame_duck_duration: "30s"

jetstream {
  store_dir: "/data"
  max_file_store: {{ include "flotilla.natsStore" . }}
  # When what is acknowledged has been written through to the disk.
  sync_interval: {{ $nats.syncInterval | quote }}
}
{{- with $nats.tls.existingSecret }}

tls {
  cert_file: "/etc/nats-tls/tls.crt"
  key_file: "/etc/nats-tls/tls.key"
  min_version: "1.2"
}
{{- end }}
{{- if gt (int $nats.replicas) 1 }}

cluster {
  name: {{ $name | quote }}
  listen: "0.0.0.0:6222"
  # Clients know the service, which knows who is ready.
  no_advertise: true
  routes: [
    {{- range $index := until (int $nats.replicas) }}
    "nats://{{ $name }}-{{ $index }}.{{ $name }}-headless:6222"
    {{- end }}
  ]
  {{- with $nats.tls.existingSecret }}
  tls {
    cert_file: "/etc/nats-tls/tls.crt"
    key_file: "/etc/nats-tls/tls.key"
    ca_file: "/etc/nats-tls/ca.crt"
    verify: true
  }
  {{- end }}
}
{{- end }}
{{- if $nats.auth.existingSecret }}

include "users/authorization.conf"
{{- end }}
{{- end }}

{{/* Nine tenths of the volume: what streams may not have reserved is the file system's own. */}}
{{- define "flotilla.natsStore" -}}
{{- div (mul (include "flotilla.bytes" (list .Values.nats.storage.size "nats.storage.size") | int64) 9) 10 }}
{{- end }}

{{- define "flotilla.natsContainer" -}}
{{- $nats := .Values.nats -}}
image: {{ include "flotilla.image" (list $nats.image "") | quote }}
imagePullPolicy: {{ $nats.image.pullPolicy }}
command: [nats-server, --config, /etc/nats/nats.conf]
securityContext: {{- include "flotilla.containerSecurity" . | nindent 2 }}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  {{- with dig "limits" "memory" "" $nats.resources }}
  # So that the garbage collector knows what there is.
  - {name: GOMEMLIMIT, value: {{ div (mul (include "flotilla.bytes" (list . "nats.resources.limits.memory") | int64) 8) 10 | quote }}}
  {{- end }}
ports:
  - {name: nats, containerPort: 4222}
  - {name: cluster, containerPort: 6222}
  - {name: monitor, containerPort: 8222}
# A store is read before the server is there, and a large one takes its time.
startupProbe:
  httpGet: {path: "/healthz?js-enabled-only=true", port: monitor}
  periodSeconds: 2
  failureThreshold: 450
livenessProbe:
  httpGet: {path: "/healthz?js-enabled-only=true", port: monitor}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
# Whether this server does its part: a stream without a majority is not its fault.
readinessProbe:
  httpGet: {path: "/healthz?js-server-only=true", port: monitor}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
lifecycle:
  preStop:
    exec: {command: [nats-server, --signal, ldm=/run/nats/nats.pid]}
resources: {{- toYaml $nats.resources | nindent 2 }}
volumeMounts:
  - {name: config, mountPath: /etc/nats/nats.conf, subPath: nats.conf, readOnly: true}
  - {name: data, mountPath: /data}
  - {name: run, mountPath: /run/nats}
  {{- if $nats.auth.existingSecret }}
  - {name: users, mountPath: /etc/nats/users, readOnly: true}
  {{- end }}
  {{- if $nats.tls.existingSecret }}
  - {name: tls, mountPath: /etc/nats-tls, readOnly: true}
  {{- end }}
{{- end }}
