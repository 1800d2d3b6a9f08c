"""Which keys are good, who may make them, and how those of the environment are taken in.

Threat: a key that works after its revocation; a key that may do more than its owner; a key made with a key.
Source: OWASP ASVS 5.0 V2.3.2, V6.5.6 (revocable), V8.2.1; design section 4 (a legacy call).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from rimlock.core import accounts, keys, rotating
from rimlock.core.access import allows
from rimlock.core.errors import (
    AuthError,
    ConfigurationError,
    CredentialExpired,
    CredentialInvalid,
    NotFound,
    PermissionMissing,
    Unavailable,
)
from rimlock.core.principal import Principal
from rimlock.crypto.opaque import digest, hint, looks_issued
from rimlock.features.api_keys.errors import TooManyKeys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rimlock.core.database import Transaction
    from rimlock.core.keys import ApiKey, FoundKey
    from rimlock.core.rulefile import ImportedKey
    from rimlock.feature import Context

__all__ = ["Bounds", "KnownKeys", "Wanted", "issue", "page", "revoke", "rotate", "take_in"]

LONGEST = 512
"""Bytes of a key. A longer text is nobody's key."""

GOOD_SECONDS, BAD_SECONDS, TOUCH_SECONDS = 60.0, 5.0, 60
MOST_GOOD, MOST_BAD = 20_000, 5_000
DAY = 86_400
FROM_ENVIRONMENT = "imported:env"
V = TypeVar("V")
log = logging.getLogger("rimlock.keys")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a user's key may do: never more than its owner.

    A scope may be given by an administrator, by somebody whose roles allow the permission of that name, and by
    everybody when it is one of `scopes`. `permissions` maps roles to what they allow.
    """

    permissions: Callable[[frozenset[str]], frozenset[str]]
    scopes: frozenset[str]

    def within(self, wanted: frozenset[str], roles: frozenset[str]) -> frozenset[str]:
        """Return the scopes that somebody with these roles may give."""
        if "admin" in roles:
            return wanted
        allowed = self.permissions(roles)
        return frozenset(scope for scope in wanted if scope in self.scopes or allows(allowed, scope))

    def principal(self, found: FoundKey) -> Principal:
        """Return whom a good key speaks for. A user's key has those of its roles that its owner still has."""
        key = found.key
        service = key.user_id is None
        roles = key.roles if service else key.roles & found.owner_roles
        theirs = service or key.source != keys.ISSUED
        return Principal(
            subject=key.user_id or f"key:{key.id}",
            kind="key",
            credential_id=key.id,
            user_id=key.user_id,
            label=key.name,
            roles=roles,
            permissions=self.permissions(roles),
            scopes=key.scopes if theirs else self.within(key.scopes, found.owner_roles),
            epoch=found.epoch,
            expires_at=key.expires_at,
        )


@dataclass(slots=True)
class _Good:
    """A key that was good when it was looked up. It is believed before `until`, and noted as used from `touch_at`."""

    principal: Principal
    until: float
    touch_at: float


class KnownKeys:
    """Keys this process met lately, by digest, and the way to learn of others.

    A known key is forgotten by the journal: when it is revoked, and when its owner's standing changes. What was read
    before a line of the journal arrived is never remembered after it.
    """

    def __init__(self, context: Context, bounds: Bounds) -> None:
        """Know nothing; hear of every change from now on."""
        self._context = context
        self._bounds = bounds
        self._good: dict[bytes, _Good] = {}
        self._bad: dict[bytes, tuple[type[AuthError] | None, float]] = {}
        self._by_subject: dict[str, set[bytes]] = {}
        self._used: dict[str, int] = {}
        self._changes = 0
        context.revocations.on_change.setdefault("key", []).append(self._changed)
        context.revocations.on_change.setdefault("user", []).append(self._changed)

    def resolve(
        self, text: bytes, now: float
    ) -> Principal | AuthError | Awaitable[Principal | AuthError | None] | None:
        """Return whom a key speaks for, why it does not count, or None for a text that is no key of ours.

        Only a key not met lately is looked up in the database, by the awaitable. That raises Unavailable.
        """
        if len(text) > LONGEST:
            return None
        fingerprint = sha256(text).digest()
        good = self._good.get(fingerprint)
        if good is not None and now < good.until:
            if now >= good.touch_at:
                self._use(good, now)
            return good.principal
        bad = self._bad.get(fingerprint)
        if bad is not None and now < bad[1]:
            return bad[0]() if bad[0] else None
        return self._look_up(text, fingerprint, now)

    async def flush(self) -> None:
        """Write when keys were last used. Raises Unavailable, and then forgets nothing."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._context.database.write(lambda tx: keys.touch_used(tx, used))
        except Unavailable:
            self._used = {**used, **self._used}
            raise

    async def _look_up(self, text: bytes, fingerprint: bytes, now: float) -> Principal | AuthError | None:
        before = self._changes
        found = await self._context.database.read(lambda tx: keys.find(tx, fingerprint.hex()))
        settled = before == self._changes
        issued = looks_issued(text.decode("latin-1"), self._context.settings.api_key_prefix)
        refusal = _refusal(found, now, issued=issued)
        if found is None or refusal is not None:
            if settled:
                _make_room(self._bad, MOST_BAD)
                self._bad[fingerprint] = refusal, now + BAD_SECONDS
            return refusal() if refusal else None
        good = self._accept(found, now)
        if settled:
            self._keep(fingerprint, good)
        self._use(good, now)
        return good.principal

    def _accept(self, found: FoundKey, now: float) -> _Good:
        end = found.key.expires_at
        return _Good(
            principal=self._bounds.principal(found),
            until=now + GOOD_SECONDS if end is None else min(now + GOOD_SECONDS, end),
            touch_at=(found.key.last_used_at or 0) + TOUCH_SECONDS,
        )

    def _keep(self, fingerprint: bytes, good: _Good) -> None:
        dropped = _make_room(self._good, MOST_GOOD)
        if dropped is not None:
            self._unlist(*dropped)
        self._good[fingerprint] = good
        for subject in _subjects(good):
            self._by_subject.setdefault(subject, set()).add(fingerprint)

    def _unlist(self, fingerprint: bytes, good: _Good) -> None:
        for subject in _subjects(good):
            listed = self._by_subject.get(subject, set())
            listed.discard(fingerprint)
            if not listed:
                self._by_subject.pop(subject, None)

    def _changed(self, subject: str) -> None:
        """Forget what the journal speaks of. Refusals are all forgotten: a new key or owner may have ended them."""
        self._changes += 1
        self._bad.clear()
        for fingerprint in tuple(self._by_subject.get(subject, ())):
            self._unlist(fingerprint, self._good.pop(fingerprint))

    def _use(self, good: _Good, now: float) -> None:
        """Note at most once a minute that a key is used."""
        if now < good.touch_at:
            return
        good.touch_at = now + TOUCH_SECONDS
        self._used[good.principal.credential_id] = int(now)
        self._context.flush_later()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The key somebody asks for. `days`: how long it is to live, None without end."""

    name: str
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    days: int | None = None
    service: bool = False


async def issue(
    context: Context, principal: Principal, wanted: Wanted, bounds: Bounds, limit: int
) -> tuple[str, ApiKey]:
    """Make a key and return its text, this once. `limit`: living keys a user may have.

    Raises PermissionMissing, TooManyKeys, CredentialInvalid when the asking user's standing changed meanwhile.
    """
    now, prefix = context.now(), context.settings.api_key_prefix
    _check_wish(principal, wanted, bounds)
    new = keys.NewKey(
        name=wanted.name,
        user_id=None if wanted.service else principal.user_id,
        scopes=wanted.scopes,
        roles=wanted.roles,
        expires_at=None if wanted.days is None else now + wanted.days * DAY,
    )

    def work(tx: Transaction) -> tuple[str, ApiKey]:
        keys.hold(tx)
        _check_standing(tx, principal)
        if new.user_id is not None and keys.living(tx, new.user_id, now=now) >= limit:
            raise TooManyKeys
        return keys.issue(tx, new, prefix=prefix, now=now)

    return await context.database.write(work)


async def rotate(
    context: Context, principal: Principal, key_id: str, overlap: rotating.Overlap, limit: int
) -> rotating.Rotated:
    """Replace a key of one's own, as an administrator any. `limit`: living keys a user may have.

    While some are being replaced there may be twice as many. Raises NotFound, KeyReplaced, TooManyKeys, and
    CredentialInvalid when the asking user's standing changed meanwhile.
    """
    owner = None if "admin" in principal.roles else principal.user_id
    now, prefix = context.now(), context.settings.api_key_prefix

    def work(tx: Transaction) -> rotating.Rotated:
        keys.hold(tx)
        _check_standing(tx, principal)
        rotated = rotating.rotate(
            tx,
            key_id,
            overlap,
            prefix=prefix,
            actor=f"user:{principal.user_id}",
            now=now,
            user_id=owner,
            configured=context.retirements.configured,
        )
        if rotated.made.user_id is not None and keys.living(tx, rotated.made.user_id, now=now) > 2 * limit:
            raise TooManyKeys
        return rotated

    return await context.database.write(work)


async def page(context: Context, user_id: str | None, *, after: str | None, limit: int) -> list[ApiKey]:
    """Return keys of a user, or with None those of services."""
    return await context.database.read(lambda tx: keys.page(tx, user_id, after=after, limit=limit))


async def revoke(context: Context, principal: Principal, key_id: str) -> None:
    """Revoke a key of one's own, as an administrator any. Raises NotFound."""
    owner = None if "admin" in principal.roles else principal.user_id
    now = context.now()
    if not await context.database.write(lambda tx: keys.revoke(tx, key_id, user_id=owner, now=now)):
        raise NotFound


async def take_in(context: Context, imported: Sequence[ImportedKey], environment: Mapping[str, str] | None) -> None:
    """Take in keys that callers hold already. Raises ConfigurationError naming what is wrong, Unavailable."""
    if not imported:
        return
    values = _values(imported, os.environ if environment is None else environment)
    now = context.now()

    def work(tx: Transaction) -> list[_TakenIn]:
        keys.hold(tx)
        return [_take_one(tx, one, values[one.env], now) for one in imported]

    for taken in await context.database.write(work):
        taken.tell()


@dataclass(frozen=True, slots=True)
class _TakenIn:
    """What became of a key of the environment."""

    key: ApiKey
    env: str
    weak: bool
    replaced: tuple[str, ...]

    def tell(self) -> None:
        """Say in the log what an operator has to know. The key itself is not part of it."""
        name, env = self.key.name, self.env
        if self.key.revoked_at is not None:
            log.warning("key %r: the value of %s was revoked and is refused; give it a new one", name, env)
        if self.weak:
            log.warning("key %r: the value of %s is easily guessed; replace it soon", name, env)
        if self.replaced:
            old = ", ".join(self.replaced)
            log.warning(
                "key %r: %s has a new value; the old one goes on working until it is revoked: %s", name, env, old
            )


def _take_one(tx: Transaction, one: ImportedKey, value: str, now: int) -> _TakenIn:
    new = keys.NewKey(name=one.name, scopes=one.scopes, roles=one.roles, source=FROM_ENVIRONMENT)
    key, fresh = keys.admit(tx, new, digest=digest(value), shown=hint(value), now=now)
    replaced = tuple(other.id for other in keys.namesakes(tx, key)) if fresh else ()
    return _TakenIn(key, one.env, keys.seems_weak(value), replaced)


def _values(imported: Sequence[ImportedKey], environment: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for one in imported:
        value = environment.get(one.env, "").strip()
        if not value:
            raise ConfigurationError(f"key {one.name!r}: set {one.env} to the key, or take it out of the rule file")
        if len(value.encode()) > LONGEST:
            raise ConfigurationError(f"key {one.name!r}: {one.env} is longer than {LONGEST} bytes, and so is no key")
        values[one.env] = value
    if len({digest(value) for value in values.values()}) < len(imported):
        raise ConfigurationError("two keys of the rule file have the same value; keep one of them")
    return values


def _check_wish(principal: Principal, wanted: Wanted, bounds: Bounds) -> None:
    if wanted.service and "admin" not in principal.roles:
        raise PermissionMissing("Only an administrator makes keys for services.")
    if not wanted.service and not wanted.roles <= principal.roles:
        raise PermissionMissing("A key cannot have a role that you do not have.")
    if not wanted.service and bounds.within(wanted.scopes, principal.roles) != wanted.scopes:
        raise PermissionMissing("A key cannot have a scope that you may not give.")


def _check_standing(tx: Transaction, principal: Principal) -> None:
    """Look again while nobody can revoke: a token that was revoked a moment ago makes no key that survives it."""
    account = accounts.standing(tx, principal.user_id or "")
    if account is None or not account.active or account.epoch != principal.epoch:
        raise CredentialInvalid


def _refusal(found: FoundKey | None, now: float, *, issued: bool) -> type[AuthError] | None:
    """Say why a key does not count. None for a good one, and for a text that never was a key here."""
    if found is None:
        return CredentialInvalid if issued else None
    if found.key.revoked_at is not None or not found.active:
        return CredentialInvalid
    end = found.key.expires_at
    return CredentialExpired if end is not None and end <= now else None


def _make_room(known: dict[bytes, V], most: int) -> tuple[bytes, V] | None:
    """Take out what was put in first when there is no room for one more; return it."""
    if len(known) < most:
        return None
    first = next(iter(known))
    return first, known.pop(first)


def _subjects(good: _Good) -> tuple[str, ...]:
    principal = good.principal
    return (principal.credential_id,) if principal.user_id is None else (principal.credential_id, principal.user_id)
