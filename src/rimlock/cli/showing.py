"""How a command answers: a table for people, JSON for programs.

Threat: a control character in a stored name that takes over the terminal of whoever lists it.
Source: ECMA-48 (control functions); OWASP ASVS 5.0 V1.1 (encoding for the place where text ends up).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["plain", "show", "show_json", "time_of"]


def show_json(value: object) -> None:
    """Print a value as JSON; in ASCII, so that no character of it can do anything."""
    print(json.dumps(value, indent=2))


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, nothing: str) -> None:
    """Print rows as a table of these columns, or all of them as JSON. `nothing` is said of no rows."""
    if as_json:
        return show_json({"items": list(rows)})
    if not rows:
        return print(nothing)
    table = [[name.upper().replace("_", " ") for name in columns]]
    table += [[plain(row[name]) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return None


def plain(value: object) -> str:
    """Return a value as text that is only text."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={plain(held)}" for name, held in value.items() if held)
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(map(plain, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(value))


def time_of(seconds: int | None) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
