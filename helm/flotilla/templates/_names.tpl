{{/* Names and labels. */}}

{{- define "flotilla.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* 40 characters at most: kinds of processes, and what Kubernetes appends, need the rest of 63. */}}
{{- define "flotilla.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "flotilla.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The labels of an object: (list $ "component") */}}
{{- define "flotilla.labels" -}}
{{- $root := index . 0 }}
{{- include "flotilla.selector" . }}
app.kubernetes.io/part-of: flotilla
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The labels of a pod: none that a new version of the chart changes, which would restart all for nothing. */}}
{{- define "flotilla.podLabels" -}}
{{- include "flotilla.selector" . }}
app.kubernetes.io/part-of: flotilla
{{- end }}

{{/* What tells pods of a kind from all others: (list $ "component") */}}
{{- define "flotilla.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "flotilla.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "flotilla.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "flotilla.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* (list image defaultTag) */}}
{{- define "flotilla.image" -}}
{{- $image := index . 0 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag | toString) }}
{{- end }}
{{- end }}

{{/* The kind of a category's process: its name, in letters that names of objects may have. */}}
{{- define "flotilla.component" -}}
{{- . | replace "_" "-" }}
{{- end }}
