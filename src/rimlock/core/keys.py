"""API keys: made once, kept by digest, found by digest, revoked for every process.

Threat: a key that can be read out of the database, outlives its revocation, or is made behind its owner's back.
Source: OWASP ASVS 5.0 V6.5.2 (strong secrets may rest as plain digests), V2.3.2 (limits); design section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, func, insert, not_, or_, select, update

from rimlock.core.events import Event
from rimlock.core.ids import new_id
from rimlock.core.revocations import announce
from rimlock.core.schema import account as accounts
from rimlock.core.schema import api_key as table
from rimlock.crypto.opaque import digest as digest_of
from rimlock.crypto.opaque import hint, new_api_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction

__all__ = [
    "ISSUED",
    "ApiKey",
    "ApiKeyImported",
    "ApiKeyIssued",
    "ApiKeyRevoked",
    "FoundKey",
    "NewKey",
    "admit",
    "all_of",
    "called",
    "changed",
    "find",
    "get",
    "hold",
    "issue",
    "known_digests",
    "known_owners",
    "living",
    "namesakes",
    "page",
    "revoke",
    "revoke_all",
    "seems_weak",
    "touch_used",
]

ISSUED = "issued"
"""The source of keys made here; those that callers held before are `imported:…`."""

STRONG_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a key is to be. Without `user_id` it belongs to a service and has roles of its own.

    `expires_at`: seconds since the epoch, None for a key without end.
    """

    name: str
    user_id: str | None = None
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    expires_at: int | None = None
    source: str = ISSUED


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key, without the key. `hint` may be shown. Times are seconds since the epoch."""

    id: str
    hint: str
    name: str
    user_id: str | None
    scopes: frozenset[str]
    roles: frozenset[str]
    source: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    replaced_by: str | None = None
    """The key that was made in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key and the standing of its owner. A service key answers for itself; no account is no standing.

    `active` is false as well while the owner has to choose a new password, or waits to be let in.
    """

    key: ApiKey
    active: bool
    owner_roles: frozenset[str]
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyIssued(Event):
    """A key was made."""

    key_id: str
    key_name: str
    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyImported(Event):
    """A key that callers held before was taken in."""

    key_id: str
    key_name: str
    user_id: str | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRevoked(Event):
    """A key was revoked; it is refused in every process."""

    key_id: str
    key_name: str
    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyChanged(Event):
    """What an imported key may do follows its source, which says something else now."""

    key_id: str
    key_name: str
    user_id: str | None
    scopes: tuple[str, ...]
    roles: tuple[str, ...]


def hold(tx: Transaction) -> None:
    """Keep other transactions that make or revoke keys waiting until this one ends. Take it before anything else.

    It is the lock of the journal, in which they all write: with a second lock, two of them could wait for each other.
    """
    tx.lock("rimlock-journal")


def issue(tx: Transaction, new: NewKey, *, prefix: str, now: int) -> tuple[str, ApiKey]:
    """Make a key; return its text, which can be read nowhere afterwards, and what is kept."""
    text = new_api_key(prefix)
    made = _made(new, hint(text), now)
    tx.change(insert(table), {**_row(made), "digest": digest_of(text)})
    announce(tx, "key", made.id, now=now)
    tx.emit(ApiKeyIssued(at=now, key_id=made.id, key_name=made.name, user_id=made.user_id))
    return text, made


def admit(tx: Transaction, new: NewKey, *, digest: str, shown: str, now: int) -> tuple[ApiKey, bool]:
    """Take in a key callers hold already, by the SHA-256 `digest` of its text; return it and whether it is new.

    `shown`: its hint. Known already, it keeps its id, owner and revocation; what it may do follows `new` when it came
    from the same source. However many processes do this at once, one row is made.
    """
    hold(tx)
    made = _made(new, shown, now)
    if (
        tx.change(tx.upsert(table).on_conflict_do_nothing(index_elements=["digest"]), {**_row(made), "digest": digest})
        == 1
    ):
        announce(tx, "key", made.id, now=now)
        tx.emit(ApiKeyImported(at=now, key_id=made.id, key_name=made.name, user_id=made.user_id, source=made.source))
        return made, True
    return _brought_up_to(tx, _by_digest(tx, digest), new, now), False


def find(tx: Transaction, digest: str) -> FoundKey | None:
    """Return the key with this SHA-256 digest (hexadecimal) and its owner's standing: one statement."""
    row = tx.one(_FIND, {"digest": digest})
    if row is None:
        return None
    service = row["user_id"] is None
    return FoundKey(
        key=_key(row),
        active=service or bool(row["owner_active"]),
        owner_roles=frozenset(row["owner_roles"] or ()),
        epoch=row["owner_epoch"] or 0,
    )


def get(tx: Transaction, key_id: str) -> ApiKey | None:
    """Return a key by its id, revoked or not."""
    row = tx.one(select(table).where(table.c.id == key_id))
    return None if row is None else _key(row)


def called(tx: Transaction, name: str) -> list[ApiKey]:
    """Return the keys of this name that are not revoked, in order of id."""
    query = select(table).where(table.c.name == name, table.c.revoked_at.is_(None)).order_by(table.c.id)
    return [_key(row) for row in tx.all(query)]


def all_of(tx: Transaction, *, after: str | None = None, limit: int = 1000) -> list[ApiKey]:
    """Return keys of everybody that are not revoked, in order of id."""
    query = select(table).where(table.c.revoked_at.is_(None)).order_by(table.c.id).limit(limit)
    return [_key(row) for row in tx.all(query if after is None else query.where(table.c.id > after))]


def page(tx: Transaction, user_id: str | None, *, after: str | None, limit: int) -> list[ApiKey]:
    """Return keys of a user, or with None those of services, that are not revoked, in order of id."""
    query = select(table).where(_owned_by(user_id), table.c.revoked_at.is_(None)).order_by(table.c.id).limit(limit)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_key(row) for row in tx.all(query)]


def living(tx: Transaction, user_id: str, *, now: int) -> int:
    """Count the keys of a user that are neither revoked nor expired."""
    query = select(func.count()).where(table.c.user_id == user_id, table.c.revoked_at.is_(None))
    return int(tx.value(query.where(or_(table.c.expires_at.is_(None), table.c.expires_at > now))))


def namesakes(tx: Transaction, key: ApiKey) -> list[ApiKey]:
    """Return the other keys of the same name and source that are not revoked."""
    query = select(table).where(table.c.name == key.name, table.c.source == key.source, table.c.id != key.id)
    return [_key(row) for row in tx.all(query.where(table.c.revoked_at.is_(None)).order_by(table.c.id))]


def revoke(tx: Transaction, key_id: str, *, now: int, user_id: str | None = None) -> bool:
    """Revoke a key (only if it is `user_id`'s, when given). False when there was none to revoke."""
    hold(tx)
    guard = [table.c.id == key_id, table.c.revoked_at.is_(None)]
    if user_id is not None:
        guard.append(table.c.user_id == user_id)
    row = tx.one(update(table).where(*guard).values(revoked_at=now).returning(table.c.name, table.c.user_id))
    if row is None:
        return False
    announce(tx, "key", key_id, now=now)
    tx.emit(ApiKeyRevoked(at=now, key_id=key_id, key_name=row["name"], user_id=row["user_id"]))
    return True


def revoke_all(tx: Transaction, user_id: str, *, now: int) -> int:
    """Revoke every key of a user, also one that is being made at this moment; return how many."""
    hold(tx)
    query = select(table.c.id).where(table.c.user_id == user_id, table.c.revoked_at.is_(None)).order_by(table.c.id)
    return sum(revoke(tx, row["id"], now=now) for row in tx.all(query))


def changed(tx: Transaction, key_id: str, *, now: int) -> None:
    """Let every process read the key anew."""
    announce(tx, "key", key_id, now=now)


def touch_used(tx: Transaction, used: Mapping[str, int]) -> None:
    """Note when keys were last used, by id. In order of id, so that two writers never wait for each other."""
    tx.change(_TOUCH, [{"which": key_id, "at": used[key_id]} for key_id in sorted(used)])


def known_digests(tx: Transaction, digests: Iterable[str]) -> set[str]:
    """Return which of these digests belong to a key here."""
    return {row["digest"] for row in tx.all(select(table.c.digest).where(table.c.digest.in_(list(digests))))}


def known_owners(tx: Transaction, user_ids: Iterable[str]) -> set[str]:
    """Return which of these users have an account."""
    query = select(accounts.c.user_id).where(accounts.c.user_id.in_(list(user_ids)))
    return {row["user_id"] for row in tx.all(query)}


def seems_weak(text: str) -> bool:
    """Say whether a key is short or monotonous enough to be guessed, and should be replaced soon."""
    return len(text) * log2(max(1, len(set(text)))) < STRONG_BITS


def _made(new: NewKey, shown: str, now: int) -> ApiKey:
    return ApiKey(
        id=new_id(now),
        hint=shown,
        name=new.name,
        user_id=new.user_id,
        scopes=new.scopes,
        roles=new.roles,
        source=new.source,
        created_at=now,
        expires_at=new.expires_at,
        revoked_at=None,
        last_used_at=None,
    )


def _brought_up_to(tx: Transaction, key: ApiKey, new: NewKey, now: int) -> ApiKey:
    """Let a key of the same source do what the configuration says now."""
    same = (key.name, key.scopes, key.roles) == (new.name, new.scopes, new.roles)
    if same or key.source != new.source:
        return key
    values = {"name": new.name, "scopes": sorted(new.scopes), "roles": sorted(new.roles)}
    row = tx.one(update(table).where(table.c.id == key.id).values(**values).returning(table))
    announce(tx, "key", key.id, now=now)
    tx.emit(_changed(key, values, now))
    return key if row is None else _key(row)


def _changed(key: ApiKey, values: Mapping[str, Any], now: int) -> ApiKeyChanged:
    return ApiKeyChanged(
        at=now,
        key_id=key.id,
        key_name=values["name"],
        user_id=key.user_id,
        scopes=tuple(values["scopes"]),
        roles=tuple(values["roles"]),
    )


def _by_digest(tx: Transaction, digest: str) -> ApiKey:
    return _key(tx.all(select(table).where(table.c.digest == digest))[0])


def _owned_by(user_id: str | None) -> Any:
    return table.c.user_id.is_(None) if user_id is None else table.c.user_id == user_id


def _row(key: ApiKey) -> dict[str, Any]:
    row = {name: getattr(key, name) for name in ApiKey.__dataclass_fields__}
    return {**row, "scopes": sorted(key.scopes), "roles": sorted(key.roles)}


def _key(row: RowMapping) -> ApiKey:
    values = {name: row[name] for name in ApiKey.__dataclass_fields__}
    return ApiKey(**{**values, "scopes": frozenset(row["scopes"]), "roles": frozenset(row["roles"])})


_FIND = (
    select(
        table,
        and_(accounts.c.active, not_(accounts.c.must_change_password), not_(accounts.c.waiting)).label("owner_active"),
        accounts.c.roles.label("owner_roles"),
        accounts.c.epoch.label("owner_epoch"),
    )
    .select_from(table.outerjoin(accounts, accounts.c.user_id == table.c.user_id))
    .where(table.c.digest == bindparam("digest"))
)
_TOUCH = (
    update(table)
    .where(table.c.id == bindparam("which"), func.coalesce(table.c.last_used_at, 0) < bindparam("at"))
    .values(last_used_at=bindparam("at"))
)
