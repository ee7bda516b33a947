{{- define "alert-responder.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "alert-responder.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "alert-responder.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "alert-responder.selectorLabels" -}}
app.kubernetes.io/name: {{ include "alert-responder.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "alert-responder.labels" -}}
{{ include "alert-responder.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "alert-responder.image" -}}
{{- $image := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $image = printf "%s/%s" . $image }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $image .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "alert-responder.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "alert-responder.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Secret whose keys are mounted, empty where there is none (then the environment must carry the secret). */}}
{{- define "alert-responder.secretName" -}}
{{- if .Values.secret.existingSecret -}}
{{- .Values.secret.existingSecret -}}
{{- else if .Values.secret.clientSecret -}}
{{- include "alert-responder.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* The ConfigMap with rules, empty where the image's own are used. */}}
{{- define "alert-responder.rulesConfigMap" -}}
{{- if .Values.existingRulesConfigMap -}}
{{- .Values.existingRulesConfigMap -}}
{{- else if .Values.rules -}}
{{- printf "%s-rules" (include "alert-responder.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "alert-responder.rulesDirectory" -}}
{{- if include "alert-responder.rulesConfigMap" . -}}
/etc/alert-responder/custom-rules
{{- else -}}
/etc/alert-responder/rules
{{- end -}}
{{- end -}}

{{/* Said here, before pods crash in a loop; the environment may carry them instead. */}}
{{- define "alert-responder.requireSettings" -}}
{{- if not (or .Values.extraEnv .Values.extraEnvFrom) -}}
{{- range $path := list "kafka.bootstrap_servers" "defender.tenant_id" "defender.client_id" -}}
{{- $section := index (splitList "." $path) 0 -}}
{{- $key := index (splitList "." $path) 1 -}}
{{- if not (dig $section $key "" $.Values.config) -}}
{{- fail (printf "config.%s must be set (or given to the pods by extraEnv)" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The user's settings over what the chart knows itself; a user's own value always wins. */}}
{{- define "alert-responder.config" -}}
{{- if dig "worker" "shutdown_grace" "" .Values.config -}}
{{- fail "set shutdown.timeoutSeconds instead of config.worker.shutdown_grace: the wait of Kubernetes follows from it" -}}
{{- end -}}
{{- $known := dict
    "rules" (dict "directory" (include "alert-responder.rulesDirectory" .))
    "telemetry" (dict "listen" "0.0.0.0:9090")
    "worker" (dict "shutdown_grace" (printf "%ds" (int .Values.shutdown.timeoutSeconds)))
-}}
{{- if include "alert-responder.secretName" . -}}
{{- $_ := set $known "defender" (dict "client_secret_file" (printf "/etc/alert-responder/secrets/%s" .Values.secret.clientSecretKey)) -}}
{{- end -}}
{{- if .Values.secret.adminTokenKey -}}
{{- if not .Values.secret.existingSecret -}}
{{- fail "secret.adminTokenKey names a key of secret.existingSecret, and there is none" -}}
{{- end -}}
{{- $_ := set $known "admin" (dict "token_file" (printf "/etc/alert-responder/secrets/%s" .Values.secret.adminTokenKey)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $known (deepCopy .Values.config)) -}}
{{- end -}}

{{/* The port of probes and metrics. The kubelet and Prometheus ask from outside the pod. */}}
{{- define "alert-responder.httpPort" -}}
{{- $listen := dig "telemetry" "listen" "" .Values.config | default "0.0.0.0:9090" | toString -}}
{{- if regexMatch "^(127\\.|\\[::1\\]:)" $listen -}}
{{- fail (printf "config.telemetry.listen is %s, where no probe reaches it; leave it out, or set 0.0.0.0:PORT or [::]:PORT" $listen) -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "ALERT_RESPONDER__TELEMETRY__LISTEN" -}}
{{- fail "set config.telemetry.listen instead of ALERT_RESPONDER__TELEMETRY__LISTEN in extraEnv: probes and metrics follow from it" -}}
{{- end -}}
{{- end -}}
{{- required "config.telemetry.listen must be ADDRESS:PORT" (regexFind "[0-9]+$" $listen) -}}
{{- end -}}

{{/* Whether rules.reload_interval is nothing, however it is spelt (0s, 0ms, PT0S): then rules are read at start only. */}}
{{- define "alert-responder.rulesAreReadOnce" -}}
{{- $interval := dig "rules" "reload_interval" "" .Values.config | toString -}}
{{- if and (contains "0" $interval) (not (regexMatch "[1-9]" $interval)) }}yes{{ end -}}
{{- end -}}

{{/* The port of the admin API where other pods can reach it, else empty: no listen address, or the pod's own. */}}
{{- define "alert-responder.adminPort" -}}
{{- $listen := dig "admin" "listen" "" .Values.config | default "" | toString -}}
{{- if not (regexMatch "^(127\\.|\\[::1\\]:)" $listen) -}}
{{- regexFind "[0-9]+$" $listen -}}
{{- end -}}
{{- end -}}

{{/* The worker must be able to end by itself: the wait of Kubernetes is longer than its own. */}}
{{- define "alert-responder.terminationGracePeriodSeconds" -}}
{{- $least := add (int .Values.shutdown.timeoutSeconds) 15 -}}
{{- if kindIs "invalid" .Values.shutdown.terminationGracePeriodSeconds -}}
{{- $least -}}
{{- else if lt (int .Values.shutdown.terminationGracePeriodSeconds) (int $least) -}}
{{- fail (printf "shutdown.terminationGracePeriodSeconds must be at least shutdown.timeoutSeconds + 15 = %d, so that the worker can end by itself" $least) -}}
{{- else -}}
{{- int .Values.shutdown.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
