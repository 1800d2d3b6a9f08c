"""What happened when accounts came from elsewhere.

Threat: accounts that nobody remembers having let in.
Source: OWASP ASVS 5.0 V16.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event

__all__ = ["ImportFinished", "ImportLinked", "ImportUndone", "ImportUpdated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFinished(Event):
    """All rows of a source were looked at, and those that fit are accounts here."""

    source: str
    new: int
    changed: int
    linked: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportUpdated(Event):
    """An imported account that nobody had used here followed what its source says now."""

    user_id: str
    source: str
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLinked(Event):
    """A row of a source leads to an account that was here before; both had proven the address."""

    user_id: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportUndone(Event):
    """The accounts that an import had made were removed, but for those that were used since."""

    source: str
    removed: int
    kept: int
