{{/* What the Prometheus operator scrapes of a kind of process. */}}
{{- define "flotilla.podMonitor" -}}
{{- $monitor := .root.Values.monitoring.podMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "flotilla.fullname" .root }}-{{ .component }}
  labels:
    {{- include "flotilla.labels" (list .root .component) | nindent 4 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels: {{- include "flotilla.selector" (list .root .component) | nindent 6 }}
  podMetricsEndpoints:
    - port: ops
      interval: {{ $monitor.interval }}
      relabelings:
        # The alerts know the fleet's processes by this job.
        - {action: replace, targetLabel: job, replacement: flotilla}
{{- end }}
