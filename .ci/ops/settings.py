#!/usr/bin/env python3
"""Asks the program itself whether it takes what the chart and Compose give it: settings, rules and command lines.

Run by `.ci/run settings` with the program as its argument, in the virtual environment of check.py. Closes with
`N passed, N failed`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from check import CHART, NAMESPACE, RELEASE, ROOT, Tally, config_of, documents, load_yaml
from helm_python import Chart

# Where the image has its program and its rules.
PROGRAM = "/usr/local/bin/alert-responder"


def said(program: Path, arguments: list[str], environment: dict[str, str]) -> list[str]:
    """What the program says when it refuses."""
    done = subprocess.run([program, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip()]


def check_scenario(tally: Tally, program: Path, scenario: Path, scratch: Path) -> None:
    """The configuration file and the rules that the chart makes of a scenario."""
    rendered = Chart.load(CHART).render(load_yaml(scenario), name=RELEASE, namespace=NAMESPACE)
    objects = list(documents(rendered))
    own_rules = [o["data"] for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-rules")]
    for rules in own_rules:
        directory = scratch / f"{scenario.stem}-rules"
        directory.mkdir()
        for name, text in rules.items():
            (directory / name).write_text(text)
        tally.check(f"{scenario.name}: the worker takes the rules", said(program, ["rules", "check", str(directory)], {}))
    config_of(objects)  # there is exactly one
    (text,) = [o["data"]["config.yaml"] for o in objects if "config.yaml" in o.get("data", {})]
    file = scratch / f"{scenario.stem}.yaml"
    file.write_text(text)
    # A secret that the chart does not mount comes by environment (extraEnvFrom).
    environment = {} if "client_secret_file" in text else {"ALERT_RESPONDER__DEFENDER__CLIENT_SECRET": "secret"}
    problems = said(program, ["config", "print", "--config", str(file)], environment)
    tally.check(f"{scenario.name}: the worker takes the configuration", problems)


def check_compose(tally: Tally, program: Path) -> None:
    """The environment and the command lines of every service that runs our program."""
    services: dict[str, dict[str, Any]] = load_yaml(ROOT / "docker-compose.yml")["services"]
    ours = {name: service for name, service in services.items() if service["image"].startswith("alert-responder:")}
    tally.check("Compose runs our program", [] if {"simulator", "worker", "produce"} <= ours.keys() else sorted(ours))
    for name, service in ours.items():
        environment = {key: str(value) for key, value in service.get("environment", {}).items()}
        lines = [service["command"]]
        probe = service.get("healthcheck", {}).get("test")
        if probe:
            tally.check(f"Compose: {name} is probed by our program", [] if probe[:2] == ["CMD", PROGRAM] else [str(probe)])
            lines.append(probe[2:])
        for line in lines:
            # With --help at its end a line is read to there, and nothing is done.
            tally.check(f"Compose: `{' '.join(line)}` is a command", said(program, [*line, "--help"], environment))
        if environment:
            tally.check(f"Compose: the program takes the environment of {name}", said(program, ["config", "print"], environment))
    simulated = subprocess.run([program, "simulator", "--help"], capture_output=True, text=True, check=True).stdout
    worker = ours["worker"]["environment"]
    keys = [f"ALERT_RESPONDER__DEFENDER__{key}" for key in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")]
    unknown = [key for key in keys if f"[default: {worker[key]}]" not in simulated]
    tally.check("Compose: the simulator knows the worker's tenant and client", unknown)


def main() -> int:
    program = Path(sys.argv[1]).resolve()
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        for scenario in sorted((CHART / "ci").glob("*-values.yaml")):
            check_scenario(tally, program, scenario, Path(scratch))
    check_compose(tally, program)
    tally.check("the image's rules are sound", said(program, ["rules", "check", str(ROOT / "rules")], {}))
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
