#!/usr/bin/env python3
"""Checks everything an operator deploys, without a cluster and without Docker.

Run by `.ci/run ops` in a virtual environment made from requirements.txt. Prints one line for each check that failed, and
closes with `N passed, N failed`. A tool that is missing is a failure, never a skip.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import jsonschema
import kubernetes_validate
import tomllib
import yaml
from helm_python import Chart

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "alert-responder"
CRDS = Path(__file__).parent / "crds"
# The oldest that Chart.yaml allows, one in the middle, and the newest that the validator knows.
KUBERNETES_VERSIONS = ("1.25", "1.31", "1.37")
RELEASE, NAMESPACE = "prod", "soc"


class Tally:
    """Counts checks; the failed ones are told as they come."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, problems: list[str]) -> None:
        """One check: it passed when there is no problem."""
        if problems:
            self.failed += 1
            print(f"FAILED {name}")
            for problem in problems:
                print("    " + problem.replace("\n", "\n    "))
        else:
            self.passed += 1


def run(*command: str | Path) -> list[str]:
    """Runs a tool of the virtual environment or the system; its output is the problem when it fails."""
    name = str(command[0])
    beside = Path(sys.executable).parent / name
    tool = str(beside) if beside.exists() else which(name)
    if tool is None:
        return [f"{name} is not installed"]
    done = subprocess.run([tool, *map(str, command[1:])], cwd=ROOT, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip() or f"exit code {done.returncode}"]


def load_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def missing(*paths: Path) -> list[str]:
    return [f"{path.relative_to(ROOT)} does not exist" for path in paths if not path.exists()]


# --- the chart -----------------------------------------------------------------------------------------------------


def documents(rendered: dict[str, str]) -> Iterator[dict[str, Any]]:
    for name, text in rendered.items():
        if not name.endswith(".txt"):
            yield from (document for document in yaml.safe_load_all(text) if document)


def object_problems(document: dict[str, Any], version: str) -> list[str]:
    """What a strict API server of that version would refuse."""
    kind = document["kind"]
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        schema_file = CRDS / f"{kind}.json"
        if not schema_file.exists():
            return [f"no schema for {kind}"]
        errors = jsonschema.Draft7Validator(json.loads(schema_file.read_text())).iter_errors(document)
        return [f"{kind} {'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except Exception as error:  # the library has several kinds of its own, and jsonschema's
        return [f"{kind}: {str(error).splitlines()[0]}"]
    return []


def pod_security_problems(pod: dict[str, Any]) -> list[str]:
    """The "restricted" Pod Security Standard, and what we promise beyond it."""
    security = pod.get("securityContext", {})
    wrong = []
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        wrong.append("seccompProfile is not set")
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        wrong.append("runAsNonRoot and a numeric runAsUser are not set")
    if pod.get("automountServiceAccountToken") is not False:
        wrong.append("the service account's token is mounted")
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            wrong.append(f"{key} is set")
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            wrong.append(f"{container['name']}: allowPrivilegeEscalation is not false")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            wrong.append(f"{container['name']}: capabilities are not all dropped")
        if own.get("readOnlyRootFilesystem") is not True:
            wrong.append(f"{container['name']}: the root file system can be written")
        if own.get("privileged"):
            wrong.append(f"{container['name']}: privileged")
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            wrong.append(f"volume {volume['name']}: hostPath")
    return wrong


def deployment_problems(objects: list[dict[str, Any]]) -> list[str]:
    """What the schema of a Deployment cannot say."""
    (deployment,) = [o for o in objects if o["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    wrong = [f"no {probe}" for probe in ("startupProbe", "livenessProbe", "readinessProbe") if probe not in container]
    if container.get("livenessProbe", {}).get("httpGet") == container.get("readinessProbe", {}).get("httpGet"):
        wrong.append("liveness and readiness ask the same question")
    if re.search(r"(:latest|/[^:@]+)$", container["image"]):
        wrong.append(f"image {container['image']} is not pinned")
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    wrong += [f"volume {name} is mounted by subPath" for name, mount in mounts.items() if "subPath" in mount]
    wrong += [f"no volume {name}" for name in mounts if name not in {volume["name"] for volume in pod["volumes"]}]
    made = {(o["kind"], o["metadata"]["name"]) for o in objects}
    config = pod["volumes"][0]["configMap"]["name"]
    if ("ConfigMap", config) not in made:
        wrong.append(f"ConfigMap {config} is mounted and not made")
    ports = {port["name"] for port in container["ports"]}
    named = [port["targetPort"] for o in objects if o["kind"] == "Service" for port in o["spec"]["ports"]]
    for policy in (o["spec"] for o in objects if o["kind"] == "NetworkPolicy"):
        named += [port["port"] for rule in policy["ingress"] for port in rule.get("ports", []) if isinstance(port["port"], str)]
    wrong += [f"the pods have no port {port}" for port in named if port not in ports]
    selector = deployment["spec"]["selector"]["matchLabels"].items()
    if not selector <= deployment["spec"]["template"]["metadata"]["labels"].items():
        wrong.append("the selector does not match the pods")
    return wrong


def config_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (text,) = [o["data"]["config.yaml"] for o in objects if o["kind"] == "ConfigMap" and "config.yaml" in o["data"]]
    return yaml.safe_load(text)


def rendered_with(chart: Chart, values: dict[str, Any], changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a render with these changes, told as paths."""
    changed = copy.deepcopy(values)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = changed
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return list(documents(chart.render(changed, name=RELEASE, namespace=NAMESPACE)))


def refused(chart: Chart, values: dict[str, Any], changes: dict[str, Any], expected: str) -> list[str]:
    """Problems when a render with these changes is *not* refused with that text."""
    try:
        rendered_with(chart, values, changes)
    except Exception as error:  # the SDK's own kinds; any of them is a refusal, and its text is compared
        return [] if expected in str(error) else [f"refused, but by: {error}"]
    return [f"rendered with {changes}"]


def rolls(objects: list[dict[str, Any]]) -> dict[str, str]:
    """The checksums that roll the pods when they change."""
    (deployment,) = [o for o in objects if o["kind"] == "Deployment"]
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    return {key: value for key, value in annotations.items() if key.startswith("checksum/")}


def rolling_problems(chart: Chart, values: dict[str, Any]) -> list[str]:
    """Settings roll the pods; rules do not, unless the worker does not look at them by itself."""
    one, other = {"rules": {"a.yml": "one"}}, {"rules": {"a.yml": "other"}}
    wrong = []
    before = rolls(rendered_with(chart, values, one))
    if before != rolls(rendered_with(chart, values, other)):
        wrong.append("a change of the rules rolls the pods")
    if before == rolls(rendered_with(chart, values, one | {"config.halted": True})):
        wrong.append("a change of the configuration does not")
    for interval, rolled in [("0s", True), ("0ms", True), ("0m", True), ("PT0S", True), ("10s", False), ("PT1M", False)]:
        looks = {"config.rules.reload_interval": interval}
        differ = rolls(rendered_with(chart, values, one | looks)) != rolls(rendered_with(chart, values, other | looks))
        if differ != rolled:
            wrong.append(f"with rules.reload_interval {interval} a change of the rules {'rolls' if differ else 'does not roll'} the pods")
    return wrong


def probe_problems(chart: Chart, values: dict[str, Any]) -> list[str]:
    """The port that is probed is the one that the worker listens on."""
    wrong = []
    for listen, expected in [(None, 9090), ("0.0.0.0:9999", 9999), ("[::]:9090", 9090)]:
        objects = rendered_with(chart, values, {"config.telemetry.listen": listen} if listen else {})
        (pod,) = [o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment"]
        (port,) = [port["containerPort"] for port in pod["containers"][0]["ports"] if port["name"] == "http"]
        listens = config_of(objects)["telemetry"]["listen"]
        if port != expected or not listens.endswith(f":{expected}"):
            wrong.append(f"{listen}: port {port}, and the worker listens on {listens}")
    return wrong


def label_problems(chart: Chart, values: dict[str, Any]) -> list[str]:
    """A label of the pods takes the place of the common one; none stands twice."""
    objects = rendered_with(chart, values, {"commonLabels": {"team": "soc"}, "podLabels": {"team": "edr"}})
    (pods,) = [o["spec"]["template"]["metadata"]["labels"] for o in objects if o["kind"] == "Deployment"]
    return deployment_problems(objects) + ([] if pods["team"] == "edr" else [f"the pods have team {pods['team']}"])


def secrets_of_librdkafka() -> set[str]:
    """The properties that the worker itself refuses in its configuration file."""
    source = (ROOT / "src" / "kafka" / "settings.rs").read_text()
    (listed,) = re.findall(r"const SECRET: &\[&str\] = &\[(.*?)\];", source, flags=re.DOTALL)
    return set(re.findall(r'"([^"]+)"', listed))


def admin_problems(chart: Chart, values: dict[str, Any]) -> list[str]:
    """The admin API has a port where others can reach it, and none on the pod's own address."""
    wrong = []
    for listen, expected in [("127.0.0.1:9091", []), ("[::1]:9091", []), ("0.0.0.0:9191", [9191]), ("[::]:9091", [9091])]:
        objects = rendered_with(chart, values, {"config.admin.listen": listen})
        (service,) = [o for o in objects if o["kind"] == "Service"]
        (pod,) = [o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment"]
        opened = [port["port"] for port in service["spec"]["ports"] if port["name"] == "admin"]
        inside = [port["containerPort"] for port in pod["containers"][0]["ports"] if port["name"] == "admin"]
        wrong += [f"{listen}: {ports} instead of {expected}" for ports in (opened, inside) if ports != expected]
    return wrong


def absent_problems(chart: Chart, values: dict[str, Any]) -> list[str]:
    """With the chart's PodMonitor, AlertResponderAbsent asks for the series that this PodMonitor makes."""
    changes = {"monitoring.prometheusRule.enabled": True, "monitoring.podMonitor.enabled": True}
    objects = rendered_with(chart, values, changes)
    (groups,) = [o["spec"] for o in objects if o["kind"] == "PrometheusRule"]
    (monitor,) = [o for o in objects if o["kind"] == "PodMonitor"]
    (pods,) = [o["spec"]["template"]["metadata"] for o in objects if o["kind"] == "Deployment"]
    job = pods["labels"][monitor["spec"]["jobLabel"]]
    (absent,) = [r["expr"] for g in groups["groups"] for r in g["rules"] if r["alert"] == "AlertResponderAbsent"]
    expected = f'absent(alert_responder_build_info{{namespace="{NAMESPACE}", job="{job}"}})'
    if absent != expected:
        return [f"{absent} instead of {expected}"]
    done = ROOT / "target" / "chart-rules.yml"
    done.parent.mkdir(exist_ok=True)
    done.write_text(yaml.safe_dump(groups))
    return run("promtool", "check", "rules", "--lint-fatal", done)


def check_chart(tally: Tally) -> None:
    chart = Chart.load(CHART)
    config_schema_file = ROOT / "schemas" / "config.schema.json"
    tally.check("schemas/config.schema.json exists", missing(config_schema_file))
    scenarios = sorted((CHART / "ci").glob("*-values.yaml"))
    tally.check("the chart has scenarios", [] if len(scenarios) >= 5 else [f"{len(scenarios)} in helm/alert-responder/ci"])
    for scenario in scenarios:
        name, values = scenario.name, load_yaml(scenario)
        try:
            rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
        except Exception as error:  # see above
            tally.check(f"{name} renders", [str(error)])
            continue
        objects = list(documents(rendered))
        tally.check(f"{name} renders", [] if objects else ["nothing"])
        for version in KUBERNETES_VERSIONS:
            problems = [problem for o in objects for problem in object_problems(o, version)]
            tally.check(f"{name} is valid on Kubernetes {version}", problems)
        (pod,) = [o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment"]
        tally.check(f"{name} meets restricted pod security", pod_security_problems(pod))
        tally.check(f"{name} deploys as promised", deployment_problems(objects))
        if config_schema_file.exists():
            validator = jsonschema.Draft7Validator(json.loads(config_schema_file.read_text()))
            errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(config_of(objects))]
            tally.check(f"{name}: the worker knows every key of its configuration", errors)

    values = load_yaml(CHART / "ci" / "default-values.yaml")
    for changes, expected in [
        ({"replicaCount": "two"}, "replicaCount"),
        ({"nonsense": 1}, "nonsense"),
        ({"image.tag": "latest"}, "tag"),
        ({"rules": {"notes.txt": "x"}}, "notes.txt"),
        ({"config.mode": "loud"}, "mode"),
        ({"config.defender.client_secret": "x"}, "client_secret"),
        ({"config.kafka.ledger.cluster.sasl_password": "x"}, "sasl_password"),
        ({"config.kafka.librdkafka": {"sasl.password": "x"}}, "sasl.password"),
        ({"config.kafka.ledger.cluster.librdkafka": {"ssl.key.password": "x"}}, "ssl.key.password"),
        ({"config.telemetry.listen": "127.0.0.1:9090"}, "no probe reaches it"),
        ({"config.telemetry.listen": "[::1]:9090"}, "no probe reaches it"),
        ({"extraEnv": [{"name": "ALERT_RESPONDER__TELEMETRY__LISTEN", "value": "0.0.0.0:1"}]}, "set config.telemetry.listen"),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, "app.kubernetes.io/name"),
        ({"commonLabels": {"app.kubernetes.io/instance": "x"}}, "app.kubernetes.io/instance"),
        ({"config.kafka.bootstrap_servers": ""}, "config.kafka.bootstrap_servers must be set"),
        ({"shutdown.terminationGracePeriodSeconds": 45}, "must be at least"),
        ({"config.worker.shutdown_grace": "2m"}, "shutdown.timeoutSeconds"),
    ]:
        tally.check(f"the chart refuses {changes}", refused(chart, values, changes, expected))

    named = {"config.kafka.librdkafka_files": {"ssl.key.password": "/run/secrets/key-password"}}
    config = config_of(rendered_with(chart, values, named))
    tally.check("files of secrets may be named", [] if "librdkafka_files" in config["kafka"] else [str(config)])
    tally.check("what rolls the pods", rolling_problems(chart, values))
    tally.check("where the probes ask", probe_problems(chart, values))
    tally.check("labels of the pods", label_problems(chart, values))
    tally.check("where the admin API is reached", admin_problems(chart, values))
    tally.check("each release watches for itself", absent_problems(chart, values))

    schema = json.loads((CHART / "values.schema.json").read_text())
    kept_out = set(schema["definitions"]["withoutSecrets"]["propertyNames"]["not"]["enum"])
    tally.check("the chart keeps out every secret of librdkafka", sorted(secrets_of_librdkafka() - kept_out))
    defaults = load_yaml(CHART / "values.yaml")
    unknown = sorted(set(schema["properties"]) ^ set(defaults) - {"global"})
    tally.check("values.yaml and its schema name the same keys", [k for k in unknown if k != "global"])
    lines = ["", *(CHART / "values.yaml").read_text().splitlines(), ""]
    uncommented = []
    commented = False
    for here, after in zip(lines, lines[1:]):
        if re.match(r"\w+:", here) and not commented and not after.startswith("  # --"):
            uncommented.append(here)
        # A comment may go on over further lines.
        commented = here.startswith("# --") or (commented and here.startswith("# "))
    tally.check("every value has a comment", uncommented)
    crate = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    app = str(load_yaml(CHART / "Chart.yaml")["appVersion"])
    tally.check("the chart's appVersion is the crate's version", [] if app == crate else [f"{app} is not {crate}"])


# --- alerts and dashboard ------------------------------------------------------------------------------------------


def documented_metrics(page: Path) -> dict[str, set[str]]:
    """Metric → labels, from the table of docs/metrics.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", page.read_text(), flags=re.MULTILINE)
    metrics = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
    for name, kind, _ in rows:
        if kind == "histogram":
            metrics |= {name + "_bucket": metrics[name] | {"le"}, name + "_sum": metrics[name], name + "_count": metrics[name]}
    return metrics


def unknown_metrics(expressions: list[str], metrics: dict[str, set[str]]) -> list[str]:
    """Names and label matchers that the worker does not export. The scrape adds namespace, job and instance."""
    wrong = []
    for expression in expressions:
        for name, matchers in re.findall(r"\b(alert_responder_\w+)(?:\{([^}]*)\})?", expression):
            if name not in metrics:
                wrong.append(f"{name} is not in docs/metrics.md")
                continue
            used = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\"", matchers))
            wrong += [f"{name} has no label {label}" for label in used - metrics[name] - {"namespace", "job", "instance"}]
    return wrong


def dashboard_problems(dashboard: dict[str, Any]) -> list[str]:
    wrong = []
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    if len(ids) != len(set(ids)):
        wrong.append("two panels have the same id")
    if not dashboard.get("uid") or not dashboard.get("tags"):
        wrong.append("no uid, or no tags")
    if "datasource" not in [variable["name"] for variable in dashboard["templating"]["list"]]:
        wrong.append("no variable for the data source")
    for panel in panels:
        title = panel["title"]
        if panel["type"] == "row":
            if not title.endswith("?"):
                wrong.append(f"row “{title}” is not a question")
            continue
        if not panel.get("description"):
            wrong.append(f"“{title}” has no description")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            wrong.append(f"“{title}” has no unit")
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            wrong.append(f"“{title}” is wider than the page")
        for target in panel["targets"]:
            if target["datasource"]["uid"] != "${datasource}":
                wrong.append(f"“{title}” names a data source")
            if re.search(r"rate\([^)]*\[\d", target["expr"]):
                wrong.append(f"“{title}” uses a fixed range instead of $__rate_interval")
    return wrong


def check_monitoring(tally: Tally) -> None:
    rules_file, tests_file = (CHART / "alerts" / f"alert-responder.{kind}.yaml" for kind in ("rules", "test"))
    tally.check("promtool check rules", run("promtool", "check", "rules", "--lint-fatal", rules_file))
    tally.check("promtool test rules", run("promtool", "test", "rules", tests_file))
    rules = [rule for group in load_yaml(rules_file)["groups"] for rule in group["rules"]]
    tests = {test["name"] for test in load_yaml(tests_file)["tests"]}
    wanted = {f"{rule['alert']} {case}" for rule in rules for case in ("fires", "stays quiet")}
    tally.check("each alert has a test that fires and one that does not", sorted(wanted - tests))

    runbook = ROOT / "docs" / "runbook.md"
    sections = {line[3:].strip().lower() for line in runbook.read_text().splitlines() if line.startswith("## ")} if runbook.exists() else set()
    unexplained = [r["alert"] for r in rules if r["annotations"]["runbook_url"].rsplit("#", 1)[-1] not in sections]
    tally.check("each alert has a section in docs/runbook.md", missing(runbook) + unexplained)

    dashboard = json.loads((CHART / "dashboards" / "alert-responder.json").read_text())
    tally.check("the dashboard is well made", dashboard_problems(dashboard))
    page = ROOT / "docs" / "metrics.md"
    if not page.exists():
        tally.check("docs/metrics.md exists", missing(page))
        return
    metrics = documented_metrics(page)
    tally.check("docs/metrics.md lists metrics", [] if len(metrics) > 20 else [f"found {len(metrics)}"])
    tally.check("alerts use metrics and labels that exist", unknown_metrics([rule["expr"] for rule in rules], metrics))
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    tally.check("the dashboard uses metrics and labels that exist", unknown_metrics(shown, metrics))


# --- image and Compose ---------------------------------------------------------------------------------------------


def compose_problems(compose: dict[str, Any]) -> list[str]:
    wrong = []
    for name, service in compose["services"].items():
        image = service.get("image", "")
        if not re.search(r":[^:/]*\d[^:/]*$|@sha256:", image):
            wrong.append(f"{name}: image “{image}” is not pinned")
        one_shot = service.get("restart") == "no"
        if "healthcheck" not in service and not one_shot:
            wrong.append(f"{name}: no health check")
        if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
            wrong.append(f"{name}: keeps capabilities or may gain privileges")
        if not service.get("read_only") and name != "kafka":
            wrong.append(f"{name}: its root file system can be written")
        wrong += [f"{name}: port {port} is open to other machines" for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (ROOT / source).exists():
                wrong.append(f"{name}: {source} does not exist")
    return wrong


def setting_names(schema: dict[str, Any]) -> set[str]:
    """Every key of the configuration's schema as an environment variable."""

    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node or len(node.get("allOf", [])) == 1:
            node = node["allOf"][0] if "allOf" in node else schema["definitions"][node["$ref"].rsplit("/", 1)[-1]]
        return node

    def walk(node: dict[str, Any], path: list[str]) -> Iterator[str]:
        for key, child in resolve(node).get("properties", {}).items():
            yield "__".join(["ALERT_RESPONDER", *path, key.upper()])
            yield from walk(child, [*path, key.upper()])

    return set(walk(schema, []))


def check_image(tally: Tally) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    tally.check("hadolint", run("hadolint", "Dockerfile"))
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, flags=re.MULTILINE) for word in line.split()[:-1]]
    tally.check("what the Dockerfile copies exists", missing(*[ROOT / source for source in sources]))
    images = re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)
    unpinned = [image for image in images if ":" not in image or image.endswith(":latest")]
    tally.check("the Dockerfile's images are pinned", unpinned)
    tally.check("the image runs as nobody in particular", [] if "\nUSER 65532" in dockerfile else ["no USER 65532"])
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["rust-version"]
    tally.check("the image is built by the crate's Rust version", [] if f"rust:{rust}-" in dockerfile else [f"not {rust}"])

    file = ROOT / "docker-compose.yml"
    tally.check("Compose file against its specification", run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file))
    compose = load_yaml(file)
    tally.check("Compose services", compose_problems(compose))
    schema_file = ROOT / "schemas" / "config.schema.json"
    if schema_file.exists():
        keys = {key for service in compose["services"].values() for key in service.get("environment", {})}
        used = {key for key in keys if key.startswith("ALERT_RESPONDER__")}
        tally.check("Compose sets only settings that exist", sorted(used - setting_names(json.loads(schema_file.read_text()))))
    crate = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    own = {s["image"] for s in compose["services"].values() if s["image"].startswith("alert-responder:")} - {f"alert-responder:{crate}"}
    tally.check("Compose tags the image with the crate's version", sorted(own))
    tally.check("promtool check config", prometheus_config_problems(ROOT / "compose" / "prometheus.yml"))


def prometheus_config_problems(file: Path) -> list[str]:
    """The configuration as Prometheus in Compose sees it, but with the rules where they are here."""
    text = file.read_text()
    if "/etc/prometheus/rules/" not in text:
        return ["does not load the chart's rules"]
    done = ROOT / "target" / "prometheus-check.yml"
    done.parent.mkdir(exist_ok=True)
    done.write_text(text.replace("/etc/prometheus/rules/", f"{CHART}/alerts/"))
    return run("promtool", "check", "config", done)


def check_workflows(tally: Tally) -> None:
    files = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    tally.check("actionlint", run("actionlint", *files))
    tally.check("workflow schema", run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files))
    tally.check("zizmor", run("zizmor", "--offline", "--no-progress", "--persona", "regular", *files))


def main() -> int:
    tally = Tally()
    for part in (check_chart, check_monitoring, check_image, check_workflows):
        part(tally)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
