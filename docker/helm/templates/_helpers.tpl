{{- define "lakehouse.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end -}}
{{- end }}

{{- define "lakehouse.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- /* of an object: {root, part} */ -}}
{{- define "lakehouse.labels" -}}
{{ include "lakehouse.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "lakehouse.image" -}}
{{- $ending := ternary "-spark" "" (eq .Values.run.mode "spark") -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ $ending }}{{ end }}
{{- end }}
{{- end }}

{{- define "lakehouse.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "lakehouse.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* where containers write, and the exports of a claim */ -}}
{{- define "lakehouse.volumes" -}}
- {name: scratch, emptyDir: {sizeLimit: {{ .Values.scratch }}}}
- {name: tmp, emptyDir: {sizeLimit: {{ .Values.scratch }}}}
{{- with .Values.lake.landingClaim }}
- {name: landing, persistentVolumeClaim: {claimName: {{ . }}}}
{{- end }}
{{- end }}

{{- define "lakehouse.mounts" -}}
- {name: scratch, mountPath: /scratch}
- {name: tmp, mountPath: /tmp}
{{- if .Values.lake.landingClaim }}
- {name: landing, mountPath: {{ .Values.lake.landing }}}
{{- end }}
{{- end }}

{{- /* {root, secret}: places, the store and its account */ -}}
{{- define "lakehouse.env" -}}
{{- $values := .root.Values -}}
- {name: LAKEHOUSE_ROOT, value: {{ $values.lake.root | quote }}}
- {name: LAKEHOUSE_LANDING, value: {{ $values.lake.landing | quote }}}
- {name: LAKEHOUSE_CACHE, value: /scratch/cache}
- {name: LAKEHOUSE_MEMORY, value: {{ $values.run.memory | quote }}}
- {name: HOME, value: /scratch}
{{- with $values.s3.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
- {name: AWS_REGION, value: {{ $values.s3.region | quote }}}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- {name: {{ . }}, valueFrom: {secretKeyRef: {name: {{ $.secret }}, key: {{ . }}}}}
{{- end }}
{{- with $values.kafka.servers }}
- {name: KAFKA_SERVERS, value: {{ . | quote }}}
{{- end }}
{{- range $name, $value := $values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- /* {root, name, args, resources} and what a container may have: command, secret (of S3), from (Secrets), env, more */ -}}
{{- define "lakehouse.container" -}}
{{- $root := .root -}}
- name: {{ .name }}
  image: {{ include "lakehouse.image" $root | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  {{- with .command }}
  command: {{ toJson . }}
  {{- end }}
  args: {{ toJson .args }}
  workingDir: /scratch
  env:
    {{- include "lakehouse.env" (dict "root" $root "secret" (.secret | default $root.Values.s3.existingSecret)) | nindent 4 }}
    {{- range .env }}
    - {{ toJson . }}
    {{- end }}
  {{- with compact (.from | default list) }}
  envFrom:
    {{- range . }}
    - secretRef: {name: {{ . }}}
    {{- end }}
  {{- end }}
  volumeMounts:
    {{- include "lakehouse.mounts" $root | nindent 4 }}
    {{- range .mounts }}
    - {{ toJson . }}
    {{- end }}
  resources: {{ toJson .resources }}
  securityContext:
    {{- include "lakehouse.security" $root | nindent 4 }}
  {{- with .more }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* {root, part} and what a pod may have: account, token, volumes, restart. Containers follow it. */ -}}
{{- define "lakehouse.pod" -}}
serviceAccountName: {{ .account | default (include "lakehouse.name" .root) }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
{{- with .restart }}
restartPolicy: {{ . }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "lakehouse.podSecurity" .root | nindent 2 }}
{{- with .root.Values.pod.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .root.Values.pod.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
volumes:
  {{- include "lakehouse.volumes" .root | nindent 2 }}
  {{- range .volumes }}
  - {{ toJson . }}
  {{- end }}
{{- end }}

{{- /* {root, part}: of the pods of an object */ -}}
{{- define "lakehouse.podMetadata" -}}
labels:
  {{- include "lakehouse.selector" . | nindent 2 }}
  {{- with .root.Values.pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.pod.annotations }}
annotations: {{ toJson . }}
{{- end }}
{{- end }}

{{- /* {root, part, schedule, suspend}: a CronJob up to its pod's spec */ -}}
{{- define "lakehouse.cronjob" -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "lakehouse.name" .root }}-{{ .part }}
  labels:
    {{- include "lakehouse.labels" . | nindent 4 }}
spec:
  schedule: {{ .schedule | quote }}
  timeZone: {{ .root.Values.run.timeZone }}
  suspend: {{ .suspend | default false }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: {{ .root.Values.run.deadlineSeconds }}
      ttlSecondsAfterFinished: 86400
      template:
        metadata:
          {{- include "lakehouse.podMetadata" . | nindent 10 }}
{{- end }}

{{- /* {root, part}: a Deployment of one pod up to its spec */ -}}
{{- define "lakehouse.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "lakehouse.name" .root }}-{{ .part }}
  labels:
    {{- include "lakehouse.labels" . | nindent 4 }}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels:
      {{- include "lakehouse.selector" . | nindent 6 }}
  template:
    metadata:
      {{- include "lakehouse.podMetadata" . | nindent 6 }}
{{- end }}

{{- /* minutes: whether a process that goes on has looked within them, by the file that it touches each time */ -}}
{{- define "lakehouse.looks" -}}
exec: {command: [sh, -c, "find /scratch/cache/looked -mmin -{{ . }} | grep -q ."]}
initialDelaySeconds: 60
periodSeconds: 60
timeoutSeconds: 5
failureThreshold: 3
{{- end }}

{{- define "lakehouse.readerSecret" -}}
{{ .Values.s3.existingReaderSecret | default .Values.s3.existingSecret }}
{{- end }}
