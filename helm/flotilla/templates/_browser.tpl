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
