"""What happened at the doors of other services.

Threat: a failure nobody hears of; a provider's own words, or a token, in a log.
Source: OWASP ASVS 5.0 V16.2.5, V16.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event, Told

__all__ = ["SocialLoginFailed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocialLoginFailed(Event):
    """A sign-in through another service came to nothing. `reason`: a stable word of ours."""

    told = Told(outcome="failed")
    provider: str
    reason: str
    address: str
