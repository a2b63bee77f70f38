{{/* Address of a Service of the hub, for pods of any namespace. Arguments: root, service, port. */}}
{{- define "gozen.hub-address" -}}
http://{{ include "gozen.name" .root }}-{{ .service }}.{{ .root.Release.Namespace }}.svc:{{ .port }}
{{- end }}

{{/* The public address as browsers write it: small letters, no slash at its end, no port that is the default. */}}
{{- define "gozen.public-url" -}}
{{- $url := .Values.hub.publicUrl | trimSuffix "/" | lower -}}
{{- $url | trimSuffix (ternary ":443" ":80" (hasPrefix "https:" $url)) -}}
{{- end }}

{{/* The host of the public address. */}}
{{- define "gozen.public-host" -}}
{{- (urlParse (include "gozen.public-url" .)).hostname -}}
{{- end }}

{{/* The public address of the portal's host; with hosts of users each service has a host of its own, too. */}}
{{- define "gozen.portal-origin" -}}
{{- if .Values.hub.userHosts -}}
{{- include "gozen.public-url" . | replace "://" "://portal--service." -}}
{{- else -}}
{{- include "gozen.public-url" . -}}
{{- end -}}
{{- end }}

{{/* Names that browsers ask for, as a JSON list. */}}
{{- define "gozen.public-hosts" -}}
{{- $host := include "gozen.public-host" . -}}
{{- ternary (list $host (printf "*.%s" $host)) (list $host) .Values.hub.userHosts | toJson -}}
{{- end }}

{{/* Begin of the names of users' namespaces. */}}
{{- define "gozen.user-prefix" -}}
{{- dig "namespaces" "prefix" "gozen-user" .Values.hub.settings -}}
{{- end }}

{{/* Labels of users' namespaces, as JSON: gozen_hub.namespaces.namespace_objects writes them. */}}
{{- define "gozen.user-labels" -}}
{"app.kubernetes.io/component": "user", "app.kubernetes.io/part-of": "gozen"}
{{- end }}

{{/* Accounts that act in users' namespaces, as a JSON object: name of the binding, ClusterRole, account. */}}
{{- define "gozen.user-bindings" -}}
{{- $name := include "gozen.name" . -}}
{{- $found := dict "hub" (dict "role" (printf "%s-hub-labs" $name) "service_account" (printf "%s-hub" $name) "namespace" .Release.Namespace) -}}
{{- if .Values.hub.workers.enabled -}}
{{- range $component := list "workers" "dask-controller" -}}
{{- $account := printf "%s-%s" $name $component -}}
{{- $_ := set $found $component (dict "role" $account "service_account" $account "namespace" $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- if include "gozen.credentials-method" . -}}
{{- $_ := set $found "credentials" (dict "role" (printf "%s-credentials-labs" $name) "service_account" (printf "%s-credentials" $name) "namespace" .Release.Namespace) -}}
{{- end -}}
{{- $found | toJson -}}
{{- end }}

{{/* Where the credentials of labs come from: static or sts; empty if labs get none. */}}
{{- define "gozen.credentials-method" -}}
{{- $method := dig "credentials" "method" "none" .Values.hub.settings -}}
{{- if and .Values.hub.enabled (ne $method "none") }}{{ $method }}{{ end -}}
{{- end }}

{{/* Not empty if the service for credentials asks the hub for the groups of users. */}}
{{- define "gozen.credentials-groups" -}}
{{- if and (include "gozen.credentials-method" .) (dig "access" "groups" list .Values.hub.settings) }}true{{ end -}}
{{- end }}

{{/* Not empty if each user's namespace gets a volume with the archive. */}}
{{- define "gozen.archive-volume" -}}
{{- if and .Values.hub.enabled (dig "archive" "volume" dict .Values.hub.settings) -}}
{{- $source := dig "archive" "volume" "source" dict .Values.hub.settings -}}
{{- if not (has (keys $source | sortAlpha | join " ") (list "nfs" "csi" "hostPath")) -}}
{{- fail "hub.settings.archive.volume.source: give one of nfs, csi and hostPath" -}}
{{- end -}}
{{- if not (dig "access" "everyone" false .Values.hub.settings) -}}
{{- fail "hub.settings.archive.volume: on a volume each user can read the whole archive, so every user must be a member: set hub.settings.access.everyone: true. To hide tables from some users, put the archive on S3" -}}
{{- end -}}
true
{{- end -}}
{{- end }}

{{/* The only source that volumes of users' namespaces may have, as CEL: gozen_hub.namespaces.archive_volume writes it. */}}
{{- define "gozen.archive-source" -}}
{{- $given := dig "archive" "volume" "source" dict .Values.hub.settings -}}
{{- $kind := keys $given | first -}}
{{- $source := deepCopy (get $given $kind) -}}
{{- if eq $kind "hostPath" -}}
{{- $source = merge $source (dict "type" "Directory") -}}
{{- else -}}
{{- $source = mergeOverwrite $source (dict "readOnly" true) -}}
{{- end -}}
object.spec.?{{ $kind }}.orValue({}).all(key, key in {{ keys $source | sortAlpha | toJson }})
{{- /* Field by field: all values of a map that CEL writes must have one type. */}}
{{- range $field, $value := $source }} &&
object.spec.?{{ $kind }}.?{{ $field }} == optional.of({{ toJson $value }}
{{- if eq $field "volumeHandle" }}.replace('{namespace}', object.spec.claimRef.namespace){{ end }})
{{- end }}
{{- end }}

{{/* Peers of a NetworkPolicy, as JSON. Arguments: root, component. */}}
{{- define "gozen.hub-peer" -}}
{{- $labels := include "gozen.selector" . | fromYaml -}}
{{- $namespace := dict "matchLabels" (dict "kubernetes.io/metadata.name" .root.Release.Namespace) -}}
{{- dict "namespaceSelector" $namespace "podSelector" (dict "matchLabels" $labels) | toJson -}}
{{- end }}

{{- define "gozen.labs-peer" -}}
{{- include "gozen.users-peer" (dict "root" . "component" "lab") -}}
{{- end }}

{{/* Pods in users' namespaces as a peer of a NetworkPolicy, as JSON. Arguments: root, component. */}}
{{- define "gozen.users-peer" -}}
{{- $labels := dict "app.kubernetes.io/part-of" "gozen" "app.kubernetes.io/component" .component -}}
{{- dict "namespaceSelector" (dict "matchLabels" (include "gozen.user-labels" .root | fromJson)) "podSelector" (dict "matchLabels" $labels) | toJson -}}
{{- end }}

{{/* Rule that lets Prometheus reach a port. Empty where no ServiceMonitor or no peer is named: these ports also serve users. */}}
{{- define "gozen.metrics-rule" -}}
{{- if and .root.Values.monitoring.serviceMonitor.enabled .root.Values.networkPolicy.metrics.from -}}
- ports: [{ protocol: TCP, port: {{ .port }} }]
  from: {{ toJson .root.Values.networkPolicy.metrics.from }}
{{- end -}}
{{- end }}

{{/* NetworkPolicies of each user's namespace, in which everything else is denied. */}}
{{- define "gozen.user-policies" -}}
{{- $lab := dict "app.kubernetes.io/component" "lab" -}}
# Only hub and proxy reach a lab. It reaches names, the archive, its own namespace, and the hub, which it asks who its visitors are.
labs:
  podSelector: { matchLabels: { app.kubernetes.io/component: lab } }
  policyTypes: [Ingress, Egress]
  ingress:
  - ports: [{ protocol: TCP, port: 8888 }]
    from:
    - {{ include "gozen.hub-peer" (dict "root" . "component" "proxy") }}
    - {{ include "gozen.hub-peer" (dict "root" . "component" "hub") }}
  egress:
  {{- include "gozen.dns-rule" . | nindent 2 }}
  {{- include "gozen.object-store-rule" . | nindent 2 }}
  - to: [{ podSelector: {} }]
  - ports: [{ protocol: TCP, port: 8081 }]
    to: [{{ include "gozen.hub-peer" (dict "root" . "component" "hub") }}]
  {{- if .Values.hub.workers.enabled }}
  - ports: [{ protocol: TCP, port: 8080 }]
    to: [{{ include "gozen.hub-peer" (dict "root" . "component" "workers") }}]
  {{- end }}
  {{- if .Values.hub.nextcloud.enabled }}
  - ports: [{ protocol: TCP, port: 8080 }]
    to: [{{ include "gozen.hub-peer" (dict "root" . "component" "nextcloud") }}]
  {{- end }}
  {{- with .Values.hub.network.nextcloud }}
  {{- if .to }}
  - ports: {{ range .ports }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
    to: {{ toJson .to }}
  {{- end }}
  {{- end }}
  {{- with .Values.hub.network.outside }}
  - to: {{ toJson . }}
  {{- end }}
# A worker runs code of its user without the user's log-in: it reaches names, the archive, and pods of the same user.
workers:
  podSelector: { matchLabels: { app.kubernetes.io/component: dask } }
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{ podSelector: {} }]
  {{- if .Values.hub.workers.enabled }}
  # Dask's controller asks over HTTP whether a cluster is idle. It never reaches 8786: what comes from there is unpickled.
  - ports: [{ protocol: TCP, port: 8787 }]
    from: [{{ include "gozen.hub-peer" (dict "root" . "component" "dask-controller") }}]
  {{- end }}
  egress:
  {{- include "gozen.dns-rule" . | nindent 2 }}
  {{- include "gozen.object-store-rule" . | nindent 2 }}
  - to: [{ podSelector: {} }]
{{- end }}

{{/* The hub's settings: what the site decides, and what the chart knows. */}}
{{- define "gozen.hub-settings" -}}
{{- $name := include "gozen.name" . -}}
{{- $environment := merge (include "gozen.store-environment" . | fromYaml) (include "gozen.environment" (dict "prefix" "GOZEN_" "settings" .Values.settings) | fromYaml) -}}
{{- $lab := dict
  "image" (include "gozen.image" (dict "root" . "image" .Values.images.lab))
  "pull_policy" .Values.images.pullPolicy
  "pull_secrets" .Values.images.pullSecrets -}}
{{- $namespaces := dict
  "prefix" (include "gozen.user-prefix" .)
  "service_url" (include "gozen.hub-address" (dict "root" . "service" "namespaces" "port" 8080))
  "hub_account" (printf "%s/%s-hub" .Release.Namespace $name)
  "policies" (include "gozen.user-policies" . | fromYaml)
  "bindings" (include "gozen.user-bindings" . | fromJson) -}}
{{- $known := dict
  "where" "cluster"
  "public_url" (include "gozen.public-url" .)
  "user_hosts" .Values.hub.userHosts
  "hub_url" (include "gozen.hub-address" (dict "root" . "service" "hub" "port" 8081))
  "proxy_api_url" (include "gozen.hub-address" (dict "root" . "service" "proxy-api" "port" 8001))
  "portal_url" (include "gozen.hub-address" (dict "root" . "service" "portal" "port" 8080))
  "state" "/srv/hub"
  "lab" $lab
  "namespaces" $namespaces
  "credentials" (dict "keys" "/etc/gozen/keys")
  "archive" (dict "url" .Values.archive.url "environment" $environment) -}}
{{- if .Values.hub.workers.enabled }}
{{- $_ := set $known "workers" (dict "url" (include "gozen.hub-address" (dict "root" . "service" "workers" "port" 8080))) -}}
{{- end }}
{{- if .Values.hub.nextcloud.enabled }}
{{- $_ := set $known "nextcloud" (dict
  "service_url" (include "gozen.hub-address" (dict "root" . "service" "nextcloud" "port" 8080))
  "secret" (printf "%s/%s-nextcloud-accounts" .Release.Namespace $name)) -}}
{{- end }}
{{- mergeOverwrite (deepCopy .Values.hub.settings) $known | toYaml -}}
{{- end }}

{{/* What all pods of the hub, its services and Dask's controller have in common. Arguments: root, component, token. */}}
{{- define "gozen.hub-pod" -}}
serviceAccountName: {{ include "gozen.name" .root }}-{{ .component }}
automountServiceAccountToken: {{ .token }}
enableServiceLinks: false
securityContext: {{- include "gozen.pod-security" .root | nindent 2 }}
{{- include "gozen.placement" .root.Values.hub }}
{{- end }}

{{/* The same of their containers. Arguments: root, component. */}}
{{- define "gozen.hub-container" -}}
name: {{ .component }}
image: {{ include "gozen.image" (dict "root" .root "image" (ternary .root.Values.images.proxy .root.Values.images.hub (eq .component "proxy"))) }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
resources: {{- get .root.Values.hub.resources .component | toYaml | nindent 2 }}
securityContext: {{- include "gozen.container-security" .root | nindent 2 }}
{{- end }}

{{/* Name of the Secret with the tokens of proxy, portal and the service for credentials. */}}
{{- define "gozen.hub-secret" -}}
{{- .Values.hub.secretName | default (printf "%s-hub" (include "gozen.name" .)) -}}
{{- end }}
