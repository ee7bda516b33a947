#!/usr/bin/env python3
"""Reads what `alert-responder demo --output json` printed (standard input) and checks that its promises hold.

Closes with `N passed, N failed`.
"""

import json
import sys
from typing import Any

# What the demo is made to show. Outcomes without reasons have an empty one.
EXPECTED = {
    ("scanned", ""),
    ("joined", ""),
    ("shadowed", ""),
    ("suppressed", "cooldown"),
    ("suppressed", "duplicate"),
    ("suppressed", "protected"),
    ("skipped", "no_rule"),
    ("skipped", "no_device"),
    ("failed", "device_not_found"),
    ("dead_lettered", "not_json"),
}


def checks(report: dict[str, Any]) -> list[tuple[str, bool, Any]]:
    """Name, whether it holds, and what was seen."""
    outcomes = {(o["outcome"], o.get("reason") or ""): o["count"] for o in report["outcomes"]}
    happened = {key for key, count in outcomes.items() if count > 0}
    comments = [scan["comment"] for scan in report["scans"]]
    quota = report["quota"]
    return [
        ("every observation has an outcome", report["unaccounted"] == 0, report["unaccounted"]),
        ("outcomes add up to what was received", sum(outcomes.values()) == report["received"] > 0, (outcomes, report["received"])),
        ("every expected outcome happened", happened >= EXPECTED, sorted(EXPECTED - happened)),
        ("scans were started", len(comments) > 0, comments),
        ("comments say why", all("due to alert" in c for c in comments), comments),
        ("comments carry the scan's marker", all("[scan " in c for c in comments), comments),
        ("one scan, one comment", len(comments) == len(set(comments)), comments),
        ("the minute's quota holds", 0 < quota["most_in_a_minute"] <= quota["per_minute"], quota),
        ("the hour's quota holds", 0 < quota["most_in_an_hour"] <= quota["per_hour"], quota),
    ]


def main() -> int:
    results = checks(json.load(sys.stdin))
    for name, holds, seen in results:
        print(f"{'ok    ' if holds else 'FAILED'} {name}" + ("" if holds else f": {seen}"))
    failed = sum(not holds for _, holds, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
