"""What one foreign form is: a pattern for the whole string, and the judgement on its parts.

Threat: two readers that understand one string differently.
Source: design section 8 (judgement is pure).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Form", "form"]


@dataclass(frozen=True, slots=True)
class Form:
    """`name` for reports; `pattern` for the whole stored string; `judge` returns or raises as `verify` does."""

    name: str
    pattern: re.Pattern[str]
    judge: Callable[[re.Match[str], str], None]


def form(name: str, pattern: str, judge: Callable[[re.Match[str], str], None]) -> Form:
    """Make a form of a regular expression with named groups, in which digits are ASCII digits."""
    return Form(name, re.compile(pattern, re.ASCII), judge)
