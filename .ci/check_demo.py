#!/usr/bin/env python3
"""Reads what `alert-responder demo --output json` printed (standard input) and checks that its promises hold.

Closes with `N passed, N failed`.
"""

import json
import re
import sys
from collections import Counter
from typing import Any

# What the demo is made to show. Outcomes without reasons have an empty one.
EXPECTED = {
    "scanned": {""},
    "joined": {""},
    "shadowed": {""},
    "suppressed": {"cooldown", "duplicate", "protected", "protection_unknown", "too_old"},
    "skipped": {"no_rule", "no_device", "ambiguous_device", "bad_device_id", "alert_closed", "other_tenant"},
    "failed": {"device_not_found", "unsupported_device", "timed_out", "action_failed", "cancelled"},
    "dead_lettered": {"not_json", "unknown_format", "invalid"},
}

# How the simulator answered scan calls: fine, rate-limited, unavailable, cut off, already in progress.
ANSWERS = {"201", "429", "503", "cut", "400"}

# Five alerts come at once for this device, then the same again, then ransomware.
BURST_DEVICE = "ws-17"
BURST = {"3212", "3213", "3214", "3215", "3216"}

# "… due to alert 3212 (+2: 3213, 3216) [scan 8brkxjk4]"
COMMENT = re.compile(r"due to alert (?P<first>\S+)(?: \(\+(?P<more>\d+): (?P<others>[^)]*)\))? \[scan (?P<scan>\w+)\]$")


def comment_problem(scan: dict[str, Any]) -> str | None:
    """A comment names every alert that the scan was started for, and the scan."""
    match = COMMENT.search(scan["comment"])
    if not match:
        return f"not of the form: {scan['comment']}"
    others = match["others"].split(", ") if match["others"] else []
    if match["scan"] != scan["scan_id"] or len(others) != int(match["more"] or 0):
        return f"wrong marker or count: {scan['comment']}"
    if sorted([match["first"], *others]) != sorted(scan["alert_ids"]):
        return f"names other alerts than {scan['alert_ids']}: {scan['comment']}"
    return None


def twice(values: list[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def checks(report: dict[str, Any]) -> list[tuple[str, bool, Any]]:
    """Name, whether it holds, and what was seen."""
    outcomes, scans, calls = report["outcomes"], report["scans"], report["api_calls"]
    total = sum(count for reasons in outcomes.values() for count in reasons.values())
    absent = {
        f"{outcome}{{{reason}}}" for outcome, reasons in EXPECTED.items() for reason in reasons if not outcomes.get(outcome, {}).get(reason)
    }
    burst = [scan for scan in scans if scan["device"] == BURST_DEVICE]
    burst_quick = [set(scan["alert_ids"]) for scan in burst if scan["scan_type"] == "Quick"]
    problems = [problem for problem in map(comment_problem, scans) if problem]
    repeated_ids = twice([scan["scan_id"] for scan in scans]) + twice([scan["action_id"] for scan in scans])
    repeated_devices = twice([scan["device"] for scan in scans if scan["scan_type"] == "Quick"])
    results = [
        ("about 300 records were received", 290 <= report["received"] <= 310, report["received"]),
        ("every observation has an outcome", report["unaccounted"] == 0, report["unaccounted"]),
        ("outcomes add up to the observations", total == report["observations"] > 0, (total, report["observations"])),
        ("every expected outcome and reason happened", not absent, sorted(absent)),
        ("no others happened", not set(outcomes) - set(EXPECTED), sorted(outcomes)),
        ("the API gave every kind of answer", calls.keys() >= ANSWERS, calls),
        # One call's answer was cut off after its scan had begun; it was found again and not repeated.
        ("every accepted scan was one call", calls.get("201", 0) <= len(scans) <= calls.get("201", 0) + calls.get("cut", 0), (calls, len(scans))),
        ("no scan and no action is listed twice", not repeated_ids, repeated_ids),
        ("no device got two Quick scans", not repeated_devices, repeated_devices),
        ("comments name their alerts and the scan", len(scans) > 0 and not problems, problems),
        ("the burst made one Quick and one Full scan", sorted(scan["scan_type"] for scan in burst) == ["Full", "Quick"], burst),
        ("its Quick scan merged its alerts", len(burst_quick) == 1 and burst_quick[0] <= BURST and len(burst_quick[0]) > 1, burst_quick),
        ("every scan came to an end", all(scan["status"] != "open" for scan in scans), [s for s in scans if s["status"] == "open"]),
    ]
    for name in ("minute", "hour"):
        window = report["quota"][name]
        results.append((f"the {name}'s quota holds", 0 < window["most"] <= window["limit"], window))
    minute = report["quota"]["minute"]
    results.append(("the minute's quota is used up", minute["most"] == minute["limit"], minute))
    return results


def main() -> int:
    results = checks(json.load(sys.stdin))
    for name, holds, seen in results:
        print(f"{'ok    ' if holds else 'FAILED'} {name}" + ("" if holds else f": {seen}"))
    failed = sum(not holds for _, holds, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
