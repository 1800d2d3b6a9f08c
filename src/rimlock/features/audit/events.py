"""What happened to the audit itself.

Threat: somebody who goes through the audit unseen.
Source: OWASP ASVS 5.0 V16.4.2 (access to logs).
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event

__all__ = ["AuditRead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRead(Event):
    """Somebody read the audit, by the API or a command. `filters`: what was asked for, as `name=value`."""

    filters: tuple[str, ...]
