"""Changing what is on its way out, and the report about it."""

from __future__ import annotations

from rimlock.features.retirement.logic.changing import abort, change, history, in_force, leave, take_back, target_of
from rimlock.features.retirement.logic.letter import letter
from rimlock.features.retirement.logic.reporting import KeyReport, report

__all__ = [
    "KeyReport",
    "abort",
    "change",
    "history",
    "in_force",
    "leave",
    "letter",
    "report",
    "take_back",
    "target_of",
]
