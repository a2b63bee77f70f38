{{/* What the release's objects are called: gozen-..., or the release's name before it. */}}
{{- define "gozen.name" -}}
{{- if contains "gozen" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-gozen" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{/* Labels of every object; no label may have the + of a version. Arguments: root, component. */}}
{{- define "gozen.labels" -}}
app.kubernetes.io/name: gozen
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: gozen
app.kubernetes.io/version: {{ .root.Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end }}

{{/* Labels by which the pods of a Deployment are found. Arguments: root, component. */}}
{{- define "gozen.selector" -}}
app.kubernetes.io/name: gozen
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Namespaces that are looked after, as a JSON list. */}}
{{- define "gozen.namespaces" -}}
{{- .Values.operator.namespaces | default (list .Release.Namespace) | toJson -}}
{{- end }}

{{/* All namespaces in which pods run that know the archive, as a JSON list. */}}
{{- define "gozen.pod-namespaces" -}}
{{- $observed := .Values.observer.namespace | default .Release.Namespace -}}
{{- concat (include "gozen.namespaces" . | fromJsonArray) (list .Release.Namespace) (ternary (list $observed) (list) .Values.observer.enabled) | uniq | toJson -}}
{{- end }}

{{/* Reference of an image; no tag may have the + of a version. Arguments: root, image. */}}
{{- define "gozen.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion | replace "+" "_" }}{{ end -}}
{{- end }}

{{/* The claim that holds the archive; empty where it is on S3. */}}
{{- define "gozen.claim" -}}
{{- if .Values.archive.volume.claimName }}{{ .Values.archive.volume.claimName }}{{ else if .Values.archive.volume.hostPath }}{{ include "gozen.name" . }}-archive{{ end -}}
{{- end }}

{{/* Nested settings as environment variables, lists as JSON; null leaves the default. Arguments: prefix, settings. */}}
{{- define "gozen.environment" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
{{- if kindIs "map" $value }}
{{- include "gozen.environment" (dict "prefix" (printf "%s%s__" $prefix (upper $name)) "settings" $value) }}
{{- else if kindIs "string" $value }}
{{ $prefix }}{{ upper $name }}: {{ $value | quote }}
{{- else if not (kindIs "invalid" $value) }}
{{ $prefix }}{{ upper $name }}: {{ $value | toJson | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The same as a list for a container's env. */}}
{{- define "gozen.env" -}}
{{- $variables := include "gozen.environment" . | fromYaml -}}
{{- range $name, $value := $variables }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{/* Where a pod's settings come from. Credentials are no part of the environment, which crashes and people print. */}}
{{- define "gozen.env-from" -}}
- configMapRef: { name: {{ include "gozen.name" . }}-settings }
{{- end }}

{{- define "gozen.pod-security" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "gozen.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "gozen.mounts" -}}
- { name: scratch, mountPath: /tmp }
{{- if include "gozen.claim" . }}
- { name: archive, mountPath: /archive }
{{- end }}
{{- if .Values.instruments }}
- { name: profiles, mountPath: /etc/gozen/profiles, readOnly: true }
{{- end }}
{{- if .Values.archive.s3.secretName }}
- { name: s3, mountPath: /etc/gozen/s3, readOnly: true }
{{- end }}
{{- end }}

{{- define "gozen.volumes" -}}
- name: scratch
  emptyDir: { sizeLimit: {{ .Values.pods.scratchLimit }} }
{{- with include "gozen.claim" . }}
- name: archive
  persistentVolumeClaim: { claimName: {{ . }} }
{{- end }}
{{- if .Values.instruments }}
- name: profiles
  configMap: { name: {{ include "gozen.name" . }}-profiles }
{{- end }}
{{- end }}

{{/* The credentials of the object store that a role mounts. Arguments: root, role. */}}
{{- define "gozen.s3-volume" -}}
{{- with .root.Values.archive.s3 -}}
{{- if .secretName -}}
- name: s3
  secret: { secretName: {{ get .secretNames $.role | default .secretName }}, defaultMode: 288 }
{{- end }}
{{- end }}
{{- end }}

{{/* Where a pod runs. Arguments: nodeSelector, tolerations, affinity. */}}
{{- define "gozen.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Peers of a rule as a JSON list: those given, else every address but those that are never reached. Arguments: root, to. */}}
{{- define "gozen.peers" -}}
{{- if .to }}{{ toJson .to }}{{ else }}
{{- $four := list }}{{ $six := list }}
{{- range .root.Values.networkPolicy.never }}
{{- if contains ":" . }}{{ $six = append $six . }}{{ else }}{{ $four = append $four . }}{{ end }}
{{- end }}
{{- $any := list (dict "ipBlock" (dict "cidr" "0.0.0.0/0" "except" $four)) (dict "ipBlock" (dict "cidr" "::/0" "except" $six)) }}
{{- toJson $any }}
{{- end }}
{{- end }}

{{/* Where the object store is, as a JSON list of peers: what is given, else what its address says; empty where it is a name. */}}
{{- define "gozen.object-store" -}}
{{- $host := (urlParse (.Values.archive.s3.endpointUrl | default "https://amazonaws.com")).hostname -}}
{{- if .Values.networkPolicy.objectStore.to }}{{ toJson .Values.networkPolicy.objectStore.to }}
{{- else if contains ":" $host }}{{ list (dict "ipBlock" (dict "cidr" (printf "%s/128" $host))) | toJson }}
{{- else if regexMatch "^[0-9.]+$" $host }}{{ list (dict "ipBlock" (dict "cidr" (printf "%s/32" $host))) | toJson }}
{{- else if regexMatch "^[^.]+\\.[^.]+\\.svc(\\.|$)" $host }}
{{- $labels := dict "kubernetes.io/metadata.name" (index (splitList "." $host) 1) }}
{{- list (dict "namespaceSelector" (dict "matchLabels" $labels)) | toJson }}
{{- else }}[]{{ end -}}
{{- end }}

{{/* Ports of the object store's servers, as a JSON list. */}}
{{- define "gozen.object-store-ports" -}}
{{- $url := urlParse (.Values.archive.s3.endpointUrl | default "https://amazonaws.com") -}}
{{- $port := splitList ":" $url.host | rest | first | default (ternary "80" "443" (eq $url.scheme "http")) | int -}}
{{- .Values.networkPolicy.objectStore.ports | default (list $port) | toJson -}}
{{- end }}

{{/* Where the Nextcloud is that is published to, as a JSON list of peers: what is given, else what its address says. */}}
{{- define "gozen.nextcloud" -}}
{{- $host := (urlParse .Values.nextcloud.url).hostname -}}
{{- if .Values.nextcloud.network.to }}{{ toJson .Values.nextcloud.network.to }}
{{- else if contains ":" $host }}{{ list (dict "ipBlock" (dict "cidr" (printf "%s/128" $host))) | toJson }}
{{- else if regexMatch "^[0-9.]+$" $host }}{{ list (dict "ipBlock" (dict "cidr" (printf "%s/32" $host))) | toJson }}
{{- else }}[]{{ end -}}
{{- end }}

{{/* Ports of its servers, as a JSON list. */}}
{{- define "gozen.nextcloud-ports" -}}
{{- $url := urlParse .Values.nextcloud.url -}}
{{- $port := splitList ":" (regexReplaceAll "^\\[.*\\]" $url.host "") | rest | first | default "443" | int -}}
{{- .Values.nextcloud.network.ports | default (list $port) | toJson -}}
{{- end }}

{{/* Rule that lets a pod ask for names. */}}
{{- define "gozen.dns-rule" -}}
- ports:
  {{- range .Values.networkPolicy.dns.ports }}
  - { protocol: UDP, port: {{ . | int }} }
  - { protocol: TCP, port: {{ . | int }} }
  {{- end }}
  to: {{ include "gozen.peers" (dict "root" . "to" .Values.networkPolicy.dns.to) }}
{{- end }}

{{/* Rule that lets a pod speak to the object store; empty if the archive is on a volume. */}}
{{- define "gozen.object-store-rule" -}}
{{- if .Values.archive.url -}}
- ports:
  {{- range include "gozen.object-store-ports" . | fromJsonArray }}
  - { protocol: TCP, port: {{ . | int }} }
  {{- end }}
  to: {{ include "gozen.peers" (dict "root" . "to" (include "gozen.object-store" . | fromJsonArray)) }}
{{- end }}
{{- end }}

{{/* How the object store is reached, as environment variables. */}}
{{- define "gozen.store-environment" -}}
{{- with .Values.archive.s3 }}
{{- if .endpointUrl }}
GOZEN_STORAGE__ENDPOINT_URL: {{ .endpointUrl | quote }}
{{- end }}
{{- if .region }}
AWS_REGION: {{ .region | quote }}
{{- end }}
GOZEN_STORAGE__ADDRESSING: {{ .addressing }}
{{- end }}
{{- end }}
