"""What happened to subscriptions.

Threat: a plan that somebody has and nobody can say since when, or from whom.
Source: OWASP ASVS 5.0 V16.2.1, V16.3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event

__all__ = ["SubscriptionChanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged(Event):
    """The subscription of a user is another than before. A delivery that repeats what is known tells nothing."""

    user_id: str
    plan_id: str | None
    status: str | None
