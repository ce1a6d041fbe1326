{{- define "dispersed-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "dispersed-operator.selectorLabels" -}}
app.kubernetes.io/name: dispersed-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dispersed-operator.labels" -}}
{{ include "dispersed-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "dispersed-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The variables that say which cluster and which namespaces are meant. */ -}}
{{- define "dispersed-operator.scope" -}}
{{- with .Values.clusterId }}
- name: DISPERSED_OPERATOR_CLUSTER_ID
  value: {{ . | quote }}
{{- end }}
{{- with .Values.namespaces }}
- name: DISPERSED_OPERATOR_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}

{{- define "dispersed-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "dispersed-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
