"""Tokens that another system issued, read until a date and ended before it: what all such dialects share.

Threat: a token without a number of its own or a time of issue that nobody can end; a secret so short that anybody makes
    tokens with it; a token of one kind taken for another; one that outlives the password or the rights it rests on.
Source: RFC 7519; RFC 8725 sections 3.5 and 3.8; OWASP ASVS 5.0 V7.4.1.

Such a token says who and until when, and little else. It is ended one by one, by a row with the digest of what was
signed, which is looked for whenever one is presented; and all together by signing out everywhere, or once the epoch of
the account is raised: by another password, other roles, or a disabled account. Two tokens of one user from the same
second are the same text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from json import loads
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import bindparam, select

from rimlock.core import accounts
from rimlock.core.errors import ConfigurationError, CredentialInvalid
from rimlock.core.principal import Principal
from rimlock.core.schema import challenge as table
from rimlock.core.sessions import SessionEnded
from rimlock.crypto import jose
from rimlock.crypto.encoding import decode
from rimlock.crypto.jose.hs256 import HS256Verifier
from rimlock.features.sessions.events import SignedOutEverywhere
from rimlock.profiles.ids import as_stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rimlock.core.database import Transaction
    from rimlock.core.events import Event
    from rimlock.core.users import User
    from rimlock.feature import Context, Reaction
    from rimlock.profiles.ids import Ids

__all__ = [
    "Claimed",
    "OldTokens",
    "claimed_by",
    "ending",
    "is_spent",
    "key_of",
    "person",
    "principal_of",
    "spend",
    "unverified",
]

_KINDS = frozenset({"jwt", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A genuine token. `issuer`: who made it; `digest`: of what was signed; `ends`: in seconds since the epoch."""

    issuer: str
    user: str
    digest: str
    ends: int
    claims: dict[str, Any] = field(repr=False)


class OldTokens(Protocol):
    """Which tokens made before are taken, and until when."""

    def looks_it(self, token: str) -> bool:
        """Say whether a text, good or not, claims to be an access token of that kind."""
        ...

    def access(self, token: str, now: float) -> Claimed:
        """Return what an access token says. Raises CredentialInvalid."""
        ...


def unverified(token: str) -> dict[str, Any] | None:
    """Return what a text says that has the form of a token, without looking whether it is genuine; None without."""
    try:
        claims = loads(decode(token.split(".")[1]))
    except (ValueError, IndexError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def claimed_by(issuer: str, token: str, key: HS256Verifier, *, now: float, last: int) -> Claimed:
    """Return what a genuine token says that has not expired; `last`: when all of them do. Raises CredentialInvalid."""
    if now > last:
        raise CredentialInvalid
    try:
        claims = jose.read(token.encode(), {"old": key}, typ=_KINDS, kid_optional=True)
    except (jose.TokenRefused, UnicodeError):
        raise CredentialInvalid from None
    ends = claims.get("exp", last)
    if type(ends) is not int or ends <= now or not isinstance(claims.get("sub"), str):
        raise CredentialInvalid
    digest = sha256(token.rpartition(".")[0].encode()).hexdigest()
    return Claimed(issuer=issuer, user=claims["sub"], digest=digest, ends=min(ends, last), claims=claims)


def key_of(secret: str, *, what: str) -> HS256Verifier:
    """Return the key that a secret is. Raises ConfigurationError for one that could be guessed; `what`: its name."""
    try:
        return HS256Verifier("old", secret.encode())
    except (ValueError, jose.KeyRefused) as error:
        raise ConfigurationError(
            f"the {what} is not taken: {str(error).partition(';')[0]}. Anybody could have made tokens with it; leave "
            "it out, and those who are signed in sign in once more"
        ) from None


def principal_of(context: Context, tx: Transaction, claimed: Claimed, ids: Ids) -> Principal | None:
    """Return whom a genuine access token speaks for, None when it counts no more."""
    user = person(context, tx, claimed.user, ids)
    account = None if user is None else accounts.standing(tx, user.id)
    if user is None or account is None or account.epoch or not account.active or account.waiting:
        return None
    if account.must_change_password or is_spent(tx, claimed, user.id):
        return None
    return Principal(
        subject=user.id,
        kind="external",
        credential_id=claimed.digest[:32],
        user_id=user.id,
        issuer=claimed.issuer,
        roles=account.roles,
        permissions=context.permissions(account.roles),
        expires_at=claimed.ends,
    )


def person(context: Context, tx: Transaction, called: str, ids: Ids) -> User | None:
    """Return the user whom the application calls so."""
    for user_id in as_stored(called, ids):
        if (found := context.users.get(tx, user_id)) is not None:
            return found
    return None


def spend(tx: Transaction, claimed: Claimed, *, now: int, user_id: str) -> bool:
    """End a token; False when it had ended. Of any number of simultaneous callers one gets True."""
    purpose = f"{claimed.issuer}:spent"
    return _written(tx, purpose, claimed.digest, user_id, now=now, ends=claimed.ends)


def is_spent(tx: Transaction, claimed: Claimed, user_id: str) -> bool:
    """Say whether the token was ended, by itself or with all of its user's."""
    everything = _all_of(claimed.issuer, user_id)
    return tx.one(_SPENT, {"itself": claimed.digest[:32], "everything": everything[:32]}) is not None


def ending(context: Context, issuer: str, *, ends: int) -> Mapping[type[Event], Reaction]:
    """Return what ends all of a user's old tokens with their sessions, those that nobody has seen yet too.

    `ends`: when the last of them is over anyway. For `Feature.reactions`: an old token is no session.
    """

    def end_all(tx: Transaction, user_id: str) -> None:
        _written(tx, f"{issuer}:ended", _all_of(issuer, user_id), user_id, now=context.now(), ends=ends)

    def ended(tx: Transaction, event: SessionEnded) -> None:
        if event.reason == "ended_by_admin":
            end_all(tx, event.user_id)

    return {SignedOutEverywhere: lambda tx, event: end_all(tx, event.user_id), SessionEnded: ended}


def _written(tx: Transaction, purpose: str, digest: str, user_id: str, *, now: int, ends: int) -> bool:
    row: dict[str, Any] = {"id": digest[:32], "purpose": purpose, "digest": digest, "user_id": user_id, "data": {}}
    row |= {"created_at": now, "expires_at": ends}
    return tx.change(tx.upsert(table).on_conflict_do_nothing(), row) == 1


def _all_of(issuer: str, user_id: str) -> str:
    return sha256(f"{issuer}:ended {user_id}".encode()).hexdigest()


_SPENT = select(table.c.id).where(table.c.id.in_([bindparam("itself"), bindparam("everything")]))
