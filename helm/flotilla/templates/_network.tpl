{{/* Network policies: what each kind of process may reach, and who may reach it. */}}

{{/* A process as flotilla.deployment has it, and "ingress", rules beside that for metrics. */}}
{{- define "flotilla.networkPolicy" -}}
{{- $root := .root -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "flotilla.fullname" $root }}-{{ .component }}
  labels: {{- include "flotilla.labels" (list $root .component) | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "flotilla.selector" (list $root .component) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- with $root.Values.networkPolicy.monitoring }}
    - from: {{- toYaml . | nindent 8 }}
      ports: [{protocol: TCP, port: {{ include "flotilla.opsPort" $root }}}]
    {{- end }}
    {{- with .ingress }}
    {{- . | nindent 4 }}
    {{- end }}
  egress:
    {{- include "flotilla.egress.dns" $root | nindent 4 }}
    {{- include "flotilla.egress.nats" $root | nindent 4 }}
    {{- if $root.Values.tracing.endpoint }}
    {{- $port := include "flotilla.port" $root.Values.tracing.endpoint }}
    {{- include "flotilla.egress.to" (list $root.Values.tracing.networkPolicy.to (list $port)) | nindent 4 }}
    {{- end }}
    {{- if has "web" .uses }}
    {{- include "flotilla.egress.web" (list $root (include "flotilla.webPorts" $root | fromYamlArray)) | nindent 4 }}
    {{- include "flotilla.egress.allowed" $root | nindent 4 }}
    {{- end }}
    {{- if has "openai" .uses }}
    {{- include "flotilla.egress.openai" $root | nindent 4 }}
    {{- end }}
    {{- if has "chromadb" .uses }}
    {{- include "flotilla.egress.chromadb" $root | nindent 4 }}
    {{- end }}
    {{- with .v.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* (list peers ports): to whom; to anybody where no peers are given */}}
{{- define "flotilla.egress.to" -}}
- {{ with index . 0 -}}
  to: {{- toYaml . | nindent 4 }}
  {{ end -}}
  ports:
    {{- range index . 1 }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{- define "flotilla.egress.dns" -}}
- {{ with .Values.networkPolicy.dns -}}
  to: {{- toYaml . | nindent 4 }}
  {{ end -}}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}

{{- define "flotilla.egress.nats" -}}
{{- if .Values.nats.enabled -}}
- to:
    - podSelector:
        matchLabels: {{- include "flotilla.selector" (list . "nats") | nindent 10 }}
  ports: [{protocol: TCP, port: 4222}]
{{- else }}
{{- $ports := list }}
{{- range splitList "," .Values.nats.url }}
{{- $ports = append $ports (include "flotilla.port" .) }}
{{- end }}
{{- include "flotilla.egress.to" (list .Values.nats.networkPolicy.to (uniq $ports)) }}
{{- end }}
{{- end }}

{{/* Everywhere but where a cluster has what is its own: (list $ ports) */}}
{{- define "flotilla.egress.web" -}}
{{- $v4 := list }}
{{- $v6 := list }}
{{- range (index . 0).Values.networkPolicy.privateRanges }}
{{- if contains ":" . }}{{ $v6 = append $v6 . }}{{ else }}{{ $v4 = append $v4 . }}{{ end }}
{{- end -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: {{- toYaml $v4 | nindent 10 }}
    - ipBlock:
        cidr: ::/0
        except: {{- toYaml $v6 | nindent 10 }}
  ports:
    {{- range index . 1 }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{/* The ports that the scraping service itself allows. */}}
{{- define "flotilla.webPorts" -}}
{{- toYaml (dig "scraping" "allowed_ports" (list 80 443 8080 8443) .Values.config) }}
{{- end }}

{{/* The private networks that the scraping service itself allows. */}}
{{- define "flotilla.egress.allowed" -}}
{{- range dig "scraping" "allow_networks" list .Values.config }}
- to: [{ipBlock: {cidr: {{ . | quote }}}}]
{{- end }}
{{- end }}

{{- define "flotilla.egress.openai" -}}
{{- $url := dig "openai" "base_url" "https://api.openai.com/v1" .Values.config }}
{{- $port := include "flotilla.port" $url }}
{{- if .Values.openai.networkPolicy.to }}
{{- include "flotilla.egress.to" (list .Values.openai.networkPolicy.to (list $port)) }}
{{- else }}
{{- include "flotilla.egress.web" (list . (list $port)) }}
{{- end }}
{{- end }}

{{- define "flotilla.egress.chromadb" -}}
{{- if .Values.chromadb.enabled -}}
- to:
    - podSelector:
        matchLabels: {{- include "flotilla.selector" (list . "chromadb") | nindent 10 }}
  ports: [{protocol: TCP, port: 8000}]
{{- else if .Values.chromadb.url }}
{{- include "flotilla.egress.to" (list .Values.chromadb.networkPolicy.to (list (include "flotilla.port" .Values.chromadb.url))) }}
{{- end }}
{{- end }}

{{/* The port of a URL, by its scheme where it names none. */}}
{{- define "flotilla.port" -}}
{{- $host := regexReplaceAll "^[a-z]+://([^/?#]*).*$" (trim .) "${1}" }}
{{- if regexMatch ":[0-9]+$" $host }}
{{- regexFind "[0-9]+$" $host }}
{{- else }}
{{- get (dict "http" "80" "https" "443" "nats" "4222" "tls" "4222" "ws" "80" "wss" "443") (regexFind "^[a-z]+" (trim .)) }}
{{- end }}
{{- end }}

{{/* Who may connect to a server of this release: its name in a process' "uses", or everybody of the fleet. */}}
{{- define "flotilla.fleetPeer" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "flotilla.name" . }}
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
