"""The keys that sign access tokens: made at first start, sealed at rest, rotated with overlap.

Threat: a signing key read out of a backup; a rotation that turns away tokens that are still good.
Source: OWASP ASVS 5.0 V11.1.1, V13.3.4; RFC 7517 (key sets).

A new key is published before it signs (`lead`), and an old one goes on verifying until every token it signed
has expired. In an emergency `revoke` takes a key out at once, in every process.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update

from rimlock.core.errors import ConfigurationError, NotFound, Unavailable
from rimlock.core.events import Event
from rimlock.core.revocations import announce
from rimlock.core.schema import signing_key as table
from rimlock.crypto import jose
from rimlock.crypto.opaque import digest
from rimlock.crypto.sealing import SealBroken, seal, unseal
from rimlock.crypto.secret import check_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction
    from rimlock.crypto.secret import RootSecret

__all__ = [
    "KeyRing",
    "SigningKeyMade",
    "SigningKeyRevoked",
    "StoredKey",
    "add",
    "ensure",
    "has_key",
    "load",
    "new_key",
    "revoke",
    "rotate",
    "shared_ring",
]

log = logging.getLogger("rimlock.keys")
PURPOSE = "signing-keys"
LOCK = "rimlock-signing-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyMade(Event):
    """A new signing key was made; it signs from `signs_from` on."""

    kid: str
    algorithm: str
    signs_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRevoked(Event):
    """A signing key was taken out of use; every token it signed is worthless."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """One key of ours. It signs from `signs_from` until a newer one does; it verifies until `verifies_until`."""

    key: jose.SigningKey
    created_at: int
    signs_from: int
    verifies_until: int | None

    @property
    def kid(self) -> str:
        """The key's identifier, as in the header of tokens."""
        return self.key.kid


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys as one process knows them."""

    keys: Sequence[StoredKey] = ()

    def signer(self, now: float) -> jose.SigningKey:
        """Return the newest key that may sign by now. Raises Unavailable when there is none."""
        ready = [stored for stored in self.keys if stored.signs_from <= now and not _over(stored, now)]
        if not ready:
            raise Unavailable
        # Of two that begin in one second, the one that no other has followed is the newer.
        return max(ready, key=lambda stored: (stored.signs_from, stored.verifies_until is None, stored.kid)).key

    def verifiers(self, now: float) -> dict[str, jose.VerifyingKey]:
        """Return every key whose tokens may still be good, by kid."""
        return {stored.kid: stored.key.public for stored in self.keys if not _over(stored, now)}

    def public(self, now: float) -> dict[str, Any]:
        """Return the key set for publication; a symmetric key is never in it."""
        return {"keys": [jose.to_jwk(key) for key in self.verifiers(now).values() if key.algorithm != "HS256"]}


def load(tx: Transaction, root: RootSecret) -> KeyRing:
    """Read and unseal the keys. Raises SealBroken when none opens: the root secret is another one.

    While a secret is rotated, processes that do not have the new one yet go on with the keys they can open.
    """
    rows = tx.all(select(table).order_by(table.c.created_at))
    opened = [stored for row in rows if (stored := _opened(row, root)) is not None]
    if rows and not opened:
        raise SealBroken(
            "the signing keys in the database do not open under any of the secrets; "
            "put the secret they were sealed under back into RIMLOCK_SECRETS, after the new one"
        )
    return KeyRing(tuple(opened))


def new_key(algorithm: str) -> jose.SigningKey:
    """Make a key. RS256 takes a good part of a second, so this is done outside of transactions."""
    return jose.generate(jose.Algorithm(algorithm), token_hex(8))


def add(tx: Transaction, root: RootSecret, key: jose.SigningKey, *, now: int, lead: int = 0) -> str:
    """Store a key that signs from `now + lead` on; return its kid."""
    row = {
        "kid": key.kid,
        "algorithm": key.algorithm.value,
        "sealed": seal(root, PURPOSE, jose.private_bytes(key), context=key.kid.encode()),
        "public": json.dumps(jose.to_jwk(key.public)),
        "created_at": now,
        "signs_from": now + lead,
    }
    tx.change(insert(table), row)
    announce(tx, "signing_key", key.kid, now=now)
    tx.emit(SigningKeyMade(at=now, kid=key.kid, algorithm=key.algorithm.value, signs_from=now + lead))
    return key.kid


def has_key(tx: Transaction, algorithm: str, *, now: int) -> bool:
    """Say whether there is a key of this algorithm that is not over."""
    going_on = or_(table.c.verifies_until.is_(None), table.c.verifies_until > now)
    return tx.one(select(table.c.kid).where(table.c.algorithm == algorithm, going_on)) is not None


def ensure(tx: Transaction, root: RootSecret, key: jose.SigningKey, *, now: int) -> None:
    """Store the first key of its algorithm, unless there is one. Processes that start together store one."""
    tx.lock(LOCK)
    if not has_key(tx, key.algorithm.value, now=now):
        add(tx, root, key, now=now)


def shared_ring(secret: str) -> KeyRing:
    """Return the ring of the one key that is a secret shared with others (HS256). Raises ConfigurationError."""
    raw = secret.encode()
    try:
        check_secret(raw)
        key = jose.shared_key(digest(raw)[:16], raw)
    except ValueError as error:
        raise ConfigurationError(f"JWT_SECRET: {error}") from None
    return KeyRing((StoredKey(key=key, created_at=0, signs_from=0, verifies_until=None),))


def rotate(tx: Transaction, root: RootSecret, key: jose.SigningKey, *, now: int, lead: int, overlap: int) -> str:
    """Store the next key and set the end of the present ones: `overlap` seconds after it begins to sign.

    `lead` and `overlap` are in seconds. Simultaneous rotations wait for each other.
    """
    tx.lock(LOCK)
    tx.change(update(table).where(table.c.verifies_until.is_(None)).values(verifies_until=now + lead + overlap))
    tx.change(delete(table).where(table.c.verifies_until < now))
    return add(tx, root, key, now=now, lead=lead)


def revoke(tx: Transaction, kid: str, *, now: int) -> None:
    """Take a key out at once: every token it signed is refused. Raises NotFound."""
    if tx.change(delete(table).where(table.c.kid == kid)) != 1:
        raise NotFound
    announce(tx, "signing_key", kid, now=now)
    tx.emit(SigningKeyRevoked(at=now, kid=kid))


def _over(stored: StoredKey, now: float) -> bool:
    return stored.verifies_until is not None and stored.verifies_until <= now


def _opened(row: RowMapping | Mapping[str, Any], root: RootSecret) -> StoredKey | None:
    try:
        private = unseal(root, PURPOSE, row["sealed"], context=row["kid"].encode())
    except SealBroken:
        log.error("signing key %s does not open under the secrets of this process", row["kid"])  # noqa: TRY400 - named
        return None
    return StoredKey(
        key=jose.load_private(jose.Algorithm(row["algorithm"]), row["kid"], private),
        created_at=row["created_at"],
        signs_from=row["signs_from"],
        verifies_until=row["verifies_until"],
    )
