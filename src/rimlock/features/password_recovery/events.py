"""What happened to forgotten passwords.

Threat: a link, or an address, in a log; an account that is taken over and nobody can say when.
Source: OWASP ASVS 5.0 V16.2.1, V16.2.5, V16.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event, Told

__all__ = ["PasswordReset", "RecoveryAsked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryAsked(Event):
    """A link to choose another password was asked for. `user_id` is None where none was mailed.

    That is: nobody has the address, its account may not act, or it got enough links for now.
    """

    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordReset(Event):
    """Somebody chose another password by the link in a mail.

    `claimed`: keys and logins elsewhere went with the sessions, for the address was not proven before, or they were to.
    """

    told = Told(self_made=lambda _: True)
    user_id: str
    claimed: bool
    sessions_ended: int
    keys_revoked: int
    identities_unlinked: int
