"""Tokens that FastAPI Users issued, read until a date and ended before it.

Threat: a token without a number of its own or a time of issue that nobody can end; a link used twice; a secret so
    short that anybody makes tokens with it; a token of one kind taken for another.
Source: FastAPI Users 15 (its JWT strategy and its manager); RFC 8725 sections 3.5 and 3.8; RFC 7519.

Such a token says who and until when, and nothing else. It is ended one by one, by a row with the digest of what was
signed, which is looked for whenever one is presented; and all together once the epoch of the account is raised: by
another password, other roles, or a disabled account. Two tokens of one user from the same second are the same text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from json import loads
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from rimlock.core import accounts
from rimlock.core.access import end_of
from rimlock.core.errors import ConfigurationError, CredentialInvalid
from rimlock.core.principal import Principal
from rimlock.core.schema import challenge as table
from rimlock.crypto import jose
from rimlock.crypto.encoding import decode
from rimlock.crypto.jose.hs256 import HS256Verifier
from rimlock.profiles.fastapi_users.ids import as_stored

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.users import User
    from rimlock.feature import Context
    from rimlock.profiles.fastapi_users.ids import Ids

__all__ = ["ISSUER", "Claimed", "LegacyTokens", "person", "principal_of", "spend"]

ISSUER = "fastapi-users"
SPENT = "fastapi-users:spent"
_KINDS = frozenset({"jwt", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A genuine token. `digest`: of what was signed; `ends`: in seconds since the epoch."""

    user: str
    digest: str
    ends: int
    claims: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTokens:
    """Which tokens made before are taken: signed by which secrets, and until when (the end of that day, UTC).

    `reset_secret`, `verify_secret`: of the links that were mailed; None takes none. Raises ConfigurationError for a
    secret that could be guessed: whoever does makes tokens for everybody, until the date.
    """

    secret: str = field(repr=False)
    until: date
    audience: str = "fastapi-users:auth"
    reset_secret: str | None = field(default=None, repr=False)
    verify_secret: str | None = field(default=None, repr=False)
    _keys: dict[str, HS256Verifier] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the keys. Raises ConfigurationError."""
        secrets = {"access": self.secret, "reset": self.reset_secret, "verify": self.verify_secret}
        keys = {name: _key(name, secret) for name, secret in secrets.items() if secret is not None}
        object.__setattr__(self, "_keys", keys)

    def looks_it(self, token: str) -> bool:
        """Say whether a text, good or not, claims to be an access token of that kind."""
        try:
            claims = loads(decode(token.split(".")[1]))
        except (ValueError, IndexError, RecursionError):
            return False
        return isinstance(claims, dict) and "iss" not in claims and _is_for(claims.get("aud"), self.audience)

    def access(self, token: str, now: float) -> Claimed:
        """Return what an access token says. Raises CredentialInvalid."""
        return self._read("access", token, self.audience, now)

    def reset(self, token: str, now: float) -> Claimed:
        """Return what a link to choose another password says. Raises CredentialInvalid."""
        return self._read("reset", token, "fastapi-users:reset", now)

    def verify(self, token: str, now: float) -> Claimed:
        """Return what a link that proves an address says. Raises CredentialInvalid."""
        return self._read("verify", token, "fastapi-users:verify", now)

    def _read(self, kind: str, token: str, audience: str, now: float) -> Claimed:
        key, last = self._keys.get(kind), end_of(self.until)
        if key is None or now > last:
            raise CredentialInvalid
        try:
            claims = jose.read(token.encode(), {kind: key}, typ=_KINDS, kid_optional=True)
        except (jose.TokenRefused, UnicodeError):
            raise CredentialInvalid from None
        ends = claims.get("exp", last)
        if type(ends) is not int or ends <= now or not _is_for(claims.get("aud"), audience):
            raise CredentialInvalid
        if not isinstance(claims.get("sub"), str):
            raise CredentialInvalid
        signed = token.rpartition(".")[0]
        digest = sha256(signed.encode()).hexdigest()
        return Claimed(user=claims["sub"], digest=digest, ends=min(ends, last), claims=claims)


def principal_of(context: Context, tx: Transaction, claimed: Claimed, ids: Ids) -> Principal | None:
    """Return whom a genuine access token speaks for, None when it counts no more."""
    user = person(context, tx, claimed.user, ids)
    account = None if user is None else accounts.standing(tx, user.id)
    if user is None or account is None or account.epoch or not account.active or account.waiting:
        return None
    if account.must_change_password or is_spent(tx, claimed):
        return None
    return Principal(
        subject=user.id,
        kind="external",
        credential_id=claimed.digest[:32],
        user_id=user.id,
        issuer=ISSUER,
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
    row = {
        "id": claimed.digest[:32],
        "purpose": SPENT,
        "digest": claimed.digest,
        "user_id": user_id,
        "data": {},
        "created_at": now,
        "expires_at": claimed.ends,
    }
    return tx.change(tx.upsert(table).on_conflict_do_nothing(), row) == 1


def is_spent(tx: Transaction, claimed: Claimed) -> bool:
    """Say whether the token was ended."""
    return tx.one(_SPENT, {"which": claimed.digest[:32]}) is not None


def _key(name: str, secret: str) -> HS256Verifier:
    try:
        return HS256Verifier(name, secret.encode())
    except (ValueError, jose.KeyRefused) as error:
        raise ConfigurationError(
            f"the {name} secret of FastAPI Users is not taken: {str(error).partition(';')[0]}. Anybody could have made "
            "tokens with it; leave it out, and those who are signed in sign in once more"
        ) from None


def _is_for(audience: object, wanted: str) -> bool:
    return audience == wanted or (isinstance(audience, list) and wanted in audience)


_SPENT = select(table.c.id).where(table.c.id == bindparam("which"))
