"""What happened to addresses.

Threat: an address, or a link, in a log; a flood of requests that nobody sees.
Source: OWASP ASVS 5.0 V16.2.1, V16.2.5, V16.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event, Told

__all__ = ["EmailChangeAsked", "EmailVerified", "VerificationAsked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationAsked(Event):
    """A link that proves an address was asked for. `user_id` is None where none was mailed.

    That is: nobody has the address, it is proven, its account may not act, or it got enough links for now.
    """

    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailVerified(Event):
    """An address was proven by its link. `attended`: by somebody who was signed in to the account.

    Otherwise what somebody else may have put into the account went with it: sessions, keys and logins elsewhere.
    """

    told = Told(self_made=lambda _: True)
    user_id: str
    attended: bool
    sessions_ended: int = 0
    keys_revoked: int = 0
    identities_unlinked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChangeAsked(Event):
    """A user wants another address. `mailed`: whether a link went there; not where somebody has it already."""

    told = Told(self_made=lambda _: True)
    user_id: str
    mailed: bool
