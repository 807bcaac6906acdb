{{/* How many processes of a category there are: KEDA by the fleet's own figures, or an HPA. */}}

{{- define "flotilla.scaledObject" -}}
{{- $root := .root }}
{{- $a := .v.autoscaling }}
{{- $target := div (add (mul .v.slots $a.slotUtilization) 99) 100 | max 1 -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "flotilla.fullname" $root }}-{{ .component }}
  labels: {{- include "flotilla.labels" (list $root .component) | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ include "flotilla.fullname" $root }}-{{ .component }}
  minReplicaCount: {{ $a.minReplicas }}
  maxReplicaCount: {{ $a.maxReplicas }}
  pollingInterval: {{ $root.Values.keda.pollingInterval }}
  cooldownPeriod: {{ $a.cooldownSeconds }}
  # Nobody knows what waits: what works goes on, and somebody has to.
  fallback:
    failureThreshold: {{ $root.Values.keda.fallbackAfter }}
    replicas: {{ max 1 $a.minReplicas }}
    behavior: currentReplicasIfHigher
  advanced:
    horizontalPodAutoscalerConfig:
      behavior: {{- include "flotilla.scaleDown" $a | nindent 8 }}
  triggers:
    {{- if $root.Values.keda.prometheusAddress }}
    - type: prometheus
      metricType: AverageValue
      metadata:
        serverAddress: {{ $root.Values.keda.prometheusAddress }}
        query: max(flotilla_fleet_wanted_slots{category="{{ .category }}",namespace="{{ $root.Release.Namespace }}"})
        threshold: {{ $target | quote }}
        activationThreshold: "0"
        # Nothing known is not nothing to do.
        ignoreNullValues: "false"
    {{- else }}
    - type: metrics-api
      metricType: AverageValue
      metadata:
        url: http://{{ include "flotilla.fullname" $root }}-stats.{{ $root.Release.Namespace }}.svc:{{ include "flotilla.opsPort" $root }}/metrics
        format: prometheus
        valueLocation: flotilla_fleet_wanted_slots{category="{{ .category }}"}
        targetValue: {{ $target | quote }}
        activationTargetValue: "0"
    {{- end }}
{{- end }}

{{- define "flotilla.hpa" -}}
{{- $root := .root }}
{{- $a := .v.autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "flotilla.fullname" $root }}-{{ .component }}
  labels: {{- include "flotilla.labels" (list $root .component) | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "flotilla.fullname" $root }}-{{ .component }}
  minReplicas: {{ $a.minReplicas }}
  maxReplicas: {{ $a.maxReplicas }}
  metrics:
    {{- if $a.hpa.metrics }}
    {{- toYaml $a.hpa.metrics | nindent 4 }}
    {{- else }}
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $a.hpa.cpuUtilization }}}
    {{- end }}
  behavior: {{- include "flotilla.scaleDown" $a | nindent 4 }}
{{- end }}

{{/* Each step down drains a process: not for a lull. */}}
{{- define "flotilla.scaleDown" -}}
scaleDown:
  stabilizationWindowSeconds: {{ .scaleDownStabilizationSeconds }}
{{- end }}
