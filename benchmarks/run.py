"""Measure, print the table, keep the figures: `run.py [--quick] [--only PART …]`.

Every comparison runs in interleaved rounds in random order; a ratio is taken inside a round. The figure is the median,
the spread is p25 to p75. Where a server is measured, its CPU time for each request counts, which other work on the
machine disturbs least.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from load import tool
from measuring import Row
from workspace import ROOT, Workspace, workspace

PARTS = (
    *("gate", "mounting", "tokens", "storm", "refresh", "revocation", "million", "scale", "imports"),
    *("counting", "limiting", "owning", "routes", "backfill", "importing", "lifecycle"),
)


def main() -> None:
    """Run the parts that are asked for."""
    options = _options()
    began = time.monotonic()
    with workspace(quick=options.quick) as space:
        found = [row for part in options.only or PARTS for row in _measured(part, space)]
        versions = space.versions
    _keep(found, options, versions, time.monotonic() - began)
    print("\n" + table(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about two minutes: fewer rounds, smaller tables")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="only these parts")
    return parser.parse_args()


def _measured(part: str, space: Workspace) -> Iterator[Row]:
    print(f"-- {part}", flush=True)
    module = import_module(f"rows.{part}")
    for row in module.rows(space):
        print(line(row), flush=True)
        yield row


def line(row: Row) -> str:
    """Return one row of the table."""
    goal = f"{'≥' if row.at_least else '≤'} {row.goal:g} {row.unit}"
    if row.value is None:
        return f"{row.name:<58} {'skipped':>11} {'':<17} {goal:<12} {'-':<4} {row.peer} | {row.note}"
    spread = f"[{_figure(row.value.p25)}-{_figure(row.value.p75)}]"
    met = "yes" if row.met else "NO"
    measured = f"{_figure(row.value.median)} {row.unit}"
    return f"{row.name:<58} {measured:>11} {spread:<17} {goal:<12} {met:<4} {row.peer} | {row.note}"


def _figure(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def table(found: list[Row]) -> str:
    """Return all rows under their heading."""
    heading = f"{'row':<58} {'measured':>11} {'p25-p75':<17} {'goal':<12} {'met':<4} best peer | note"
    return "\n".join([heading, "-" * len(heading), *map(line, found)])


def _keep(found: list[Row], options: argparse.Namespace, versions: dict[str, str], seconds: float) -> None:
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "quick": options.quick,
        "seconds": round(seconds),
        "python": platform.python_version(),
        "processors": len(os.sched_getaffinity(0)),
        "load": tool(),
        "parts": versions,
        "rows": [row.as_json() for row in found],
    }
    name = "quick" if options.quick else "full"
    for path in (folder / "latest.json", folder / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}.json"):
        path.write_text(json.dumps(facts, indent=1, default=_plain))


def _plain(value: object) -> object:
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
