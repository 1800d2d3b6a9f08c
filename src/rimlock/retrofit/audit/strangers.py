"""Who the probe pretends to be: nobody, users without the right role, and a key that nobody issued.

Threat: a probe that leaves an account, a session or a usable credential behind.
Source: design section 4 (an authenticated request); RFC 9068.

Nothing of it is written: the users are in no table, their sessions have random ids that no row has, and the tokens are
made by the installation's own signer for the length of the probe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Literal

from rimlock.core.tokens import Grant
from rimlock.crypto.opaque import new_api_key

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.access import Requirement, Ruling

__all__ = ["Stranger", "expected", "strangers"]

UNKNOWN, FORBIDDEN = 401, 403


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who should not come in. `known`: the gate knows who it is (a token of ours)."""

    name: Literal["nobody", "a user without a role", "a user of another role", "an unknown key"]
    known: bool = False
    headers: list[tuple[bytes, bytes]] = field(default_factory=list, repr=False)


def strangers(auth: Rimlock) -> list[Stranger]:
    """Make them for an installation that is started."""
    found = [
        Stranger("nobody"),
        Stranger("a user without a role", known=True, headers=_token(auth, frozenset())),
        Stranger("a user of another role", known=True, headers=_token(auth, frozenset({f"probe-{token_hex(8)}"}))),
    ]
    if auth.settings.api_key_headers:
        header = auth.settings.api_key_headers[0].lower().encode("latin-1")
        key = new_api_key(auth.settings.api_key_prefix)
        found.append(Stranger("an unknown key", headers=[(header, key.encode())]))
    return found


def expected(ruling: Ruling, stranger: Stranger) -> set[int | None]:
    """Return the refusals the claim promises: a status, None for being let through.

    Worked out from the words of the rule and not by the function that decides, which is on trial. Where a route is
    turned for some callers only, either may happen.
    """
    rulings = [ruling.for_share(share) for share in range(100)] if ruling.otherwise is not None else [ruling]
    return {_refusal(one.requirement, stranger) if one.stage == "required" else None for one in rulings}


def _refusal(demand: Requirement, stranger: Stranger) -> int | None:
    if not stranger.known:
        return UNKNOWN
    if demand.credentials and "token" not in demand.credentials:
        return FORBIDDEN
    return FORBIDDEN if demand.any_role or demand.permissions or demand.scopes else None


def _token(auth: Rimlock, roles: frozenset[str]) -> list[tuple[bytes, bytes]]:
    now = auth.context.now()
    grant = Grant(user_id=f"probe-{token_hex(16)}", session_id=token_hex(16), roles=roles, epoch=0, auth_time=now)
    token, _ = auth._tokens.sign(grant, now)  # noqa: SLF001 - the signer is nobody else's business
    return [(b"authorization", f"Bearer {token}".encode())]
