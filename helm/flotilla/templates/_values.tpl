{{/* Values: how defaults come together, and units. */}}

{{/* Lays one map over another, in place: (dict "base" map "over" map). Unlike mergeOverwrite it takes 0, false
and "" for what they are. */}}
{{- define "flotilla.overlay" -}}
{{- $base := .base }}
{{- range $key, $value := .over }}
{{- if and (kindIs "map" $value) (kindIs "map" (get $base $key)) }}
{{- include "flotilla.overlay" (dict "base" (get $base $key) "over" $value) }}
{{- else }}
{{- $_ := set $base $key $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* All values of a category, under "settled" of the dict: (dict "root" $ "name" name "settled" dict) */}}
{{- define "flotilla.category" -}}
{{- $over := get .root.Values.categories .name | default dict }}
{{- include "flotilla.overlay" (dict "base" .settled "over" (deepCopy .root.Values.defaults)) }}
{{- include "flotilla.overlay" (dict "base" .settled "over" (deepCopy .root.Values.categoryDefaults)) }}
{{- include "flotilla.overlay" (dict "base" .settled "over" (deepCopy $over)) }}
{{- $builtIn := has .name (include "flotilla.builtIn" . | fromYamlArray) }}
{{- $_ := set .settled "builtIn" $builtIn }}
{{- if eq .settled.handler "auto" }}
{{- $_ := set .settled "handler" (ternary "service" "bridge" $builtIn) }}
{{- end }}
{{- end }}

{{- define "flotilla.builtIn" -}}
[scraping, query, embedding, batch, maintenance]
{{- end }}

{{/* Names of the categories that are served, in order, as a YAML list. */}}
{{- define "flotilla.served" -}}
{{- $names := list }}
{{- range $name, $_ := .Values.categories }}
{{- $settled := dict }}
{{- include "flotilla.category" (dict "root" $ "name" $name "settled" $settled) }}
{{- if $settled.enabled }}
{{- $names = append $names $name }}
{{- end }}
{{- end }}
{{- toYaml $names }}
{{- end }}

{{/* A duration of the settings in milliseconds: (list duration "which value it is") */}}
{{- define "flotilla.milliseconds" -}}
{{- $text := index . 0 | toString }}
{{- if not (regexMatch "^[0-9]+(ms|s|m|h|d)$" $text) }}
{{- fail (printf "%s is %q: write a whole number and a unit, ms, s, m, h or d" (index . 1) $text) }}
{{- end }}
{{- $unit := regexFind "[a-z]+$" $text }}
{{- mul (trimSuffix $unit $text | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000) $unit) }}
{{- end }}

{{/* The same in seconds, rounded up. */}}
{{- define "flotilla.seconds" -}}
{{- div (add (include "flotilla.milliseconds" . | int64) 999) 1000 }}
{{- end }}

{{/* A quantity of Kubernetes in bytes: (list quantity "which value it is") */}}
{{- define "flotilla.bytes" -}}
{{- $text := index . 0 | toString }}
{{- if not (regexMatch "^[0-9]+(k|M|G|T|Ki|Mi|Gi|Ti)?$" $text) }}
{{- fail (printf "%s is %q: write a whole number and a unit, like 20Gi" (index . 1) $text) }}
{{- end }}
{{- $units := dict "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := regexFind "[A-Za-z]*$" $text }}
{{- mul (trimSuffix $unit $text | int64) (get $units $unit | default 1) }}
{{- end }}

{{/* A setting, or what it is where nobody says: (list $ "section" "key" default) */}}
{{- define "flotilla.setting" -}}
{{- $section := get (index . 0).Values.config (index . 1) | default dict }}
{{- $value := index . 3 }}
{{- if hasKey $section (index . 2) }}
{{- $value = get $section (index . 2) }}
{{- end }}
{{- if kindIs "float64" $value }}{{ $value | int64 }}{{ else }}{{ $value }}{{ end }}
{{- end }}

{{/* How long a pod may take to end, at the least: (dict "v" values) of a process */}}
{{- define "flotilla.graceNeeded" -}}
{{- $drain := include "flotilla.seconds" (list .v.drainGrace "drainGrace") | int }}
{{- /* The services give their last spans and metrics 2 s (FLUSH_TIME); 5 s are for all that is not counted. */}}
{{- add .v.preStopSeconds $drain 2 5 }}
{{- end }}
