"""Which line of configuration a ruling comes from: the rule, and where it is written.

Threat: two rules for one route, and an operator who changes the one that does not count.
Source: core.access.RuleBook (the order of sources and rules); https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rimlock.core.access import Rule, RuleBook

__all__ = ["Origins"]

_HEADER = re.compile(r"^\s*\[\[\s*route\s*\]\]")

DEFAULT = "default"


class Origins:
    """Says where rules are written, for one rule book and the file it was read from."""

    def __init__(self, rules: RuleBook, file: Path | None) -> None:
        """`file`: the rule file; what cannot be read of it is named without a line."""
        self._rules = rules
        self._lines = _lines(file, rules.file) if file is not None else {}

    def of_stage(self, method: str, path: str) -> str:
        """Return where the stage of a route comes from."""
        return self._origin(method, path, lambda rule: rule.stage is not None)

    def of_demand(self, method: str, path: str) -> str:
        """Return where the requirement of a route comes from."""
        return self._origin(method, path, lambda rule: rule.requirement is not None)

    def _origin(self, method: str, path: str, speaks: Callable[[Rule], bool]) -> str:
        for rules in (self._rules.running, self._rules.file, self._rules.code):
            found = [rule for rule in rules if speaks(rule) and rule.covers(method, path)]
            if found:
                return self._named(max(reversed(found), key=lambda rule: rule.precision))
        return DEFAULT

    def _named(self, rule: Rule) -> str:
        line = self._lines.get(id(rule))
        return f"{rule.source}{f':{line}' if line else ''} ({rule.pattern})"


def _lines(file: Path, rules: tuple[Rule, ...]) -> dict[int, int]:
    """Return the line of each rule of the file, by the id of the rule; nothing when the file has changed since."""
    try:
        text = file.read_text(encoding="utf-8")
        entries = tomllib.loads(text).get("route", [])
    except (OSError, ValueError):
        return {}
    written = [(place, pattern) for place, entry in enumerate(entries) for pattern in _patterns(entry)]
    if [pattern for _, pattern in written] != [rule.pattern for rule in rules]:
        return {}
    sections = _sections(text)
    if len(sections) != len(entries):
        return {}
    return {id(rule): _line(*sections[place], pattern) for rule, (place, pattern) in zip(rules, written, strict=True)}


def _patterns(entry: dict[str, Any]) -> list[str]:
    match = entry.get("match", [])
    return [match] if isinstance(match, str) else list(match)


def _sections(text: str) -> list[tuple[int, list[str]]]:
    """Return each `[[route]]` section: the number of its first line, and its lines."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    ends = [*starts[1:], len(lines)]
    return [(start + 1, lines[start:end]) for start, end in zip(starts, ends, strict=True)]


def _line(start: int, lines: list[str], pattern: str) -> int:
    """Return the line that quotes the pattern, or the first of the section."""
    quoted = (json.dumps(pattern, ensure_ascii=False), f"'{pattern}'")
    return next((start + place for place, line in enumerate(lines) if any(one in line for one in quoted)), start)
