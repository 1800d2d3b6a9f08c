"""Replacing a key by a new one, while both work for a time that is agreed.

Threat: two successors of one key, one of them held by nobody knows whom; an old key that nobody ever ends.
Source: OWASP ASVS 5.0 V13.3.4 (secrets are rotated); RFC 8594 (when the old one ends).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import or_, update

from rimlock.core import keys, retiring
from rimlock.core.errors import AuthError, NotFound
from rimlock.core.events import Event
from rimlock.core.keys import ISSUED, ApiKey, NewKey
from rimlock.core.retirements import Phase, Retirement, standing
from rimlock.core.schema import api_key as table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Update

    from rimlock.core.database import Transaction

__all__ = ["ApiKeyRotated", "KeyReplaced", "Overlap", "Rotated", "rotate"]

ROTATED = "rotated:"
LONGEST_SOURCE = 32


class KeyReplaced(AuthError):
    """The key has a successor already; rotate that one."""

    code, status, title = "key_replaced", 409, "This key has been replaced already; rotate the one in its place."


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRotated(Event):
    """A key was made to take the place of another, which works until `until`."""

    key_id: str
    key_name: str
    user_id: str | None
    successor: str
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How long both work: `seconds`. `link`: a page for the holders of the old one, in place of one it has."""

    seconds: int
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """The successor with its text, which can be read nowhere afterwards, and the key it replaces."""

    text: str
    made: ApiKey
    old: ApiKey


def rotate(
    tx: Transaction,
    key_id: str,
    overlap: Overlap,
    *,
    prefix: str,
    actor: str,
    now: int,
    user_id: str | None = None,
    configured: Iterable[Retirement] = (),
) -> Rotated:
    """Make a key of the same owner that may do the same; the old one is deprecated and ends with the overlap.

    Where the old one had an end, the new one lives as long as that did. Of two who do this at once, one succeeds.
    `user_id`: only a key of theirs that is not refused. `configured`: the retirements of the rule file. Raises NotFound
    for a key that is not there or is over, KeyReplaced, ConfigurationError for a bad link.
    """
    keys.hold(tx)
    old = keys.get(tx, key_id)
    if old is None or _over(old, now) or (user_id is not None and old.user_id != user_id):
        raise NotFound
    concerned = {f"key:{old.id}", "kind:key"}
    said = {entry.target: entry for entry in retiring.in_force(tx, configured, only=concerned)}
    own = said.get(f"key:{old.id}")
    if user_id is not None and own is not None and standing(own, now) is Phase.REFUSED:
        raise NotFound
    until = now + overlap.seconds if old.expires_at is None else min(old.expires_at, now + overlap.seconds)
    text, made = keys.issue(tx, _like(old, now), prefix=prefix, now=now)
    if tx.change(_succession(old.id, made.id, until=until, now=now)) != 1:
        raise KeyReplaced
    keys.changed(tx, old.id, now=now)
    # What holds for the kind goes on holding: a rotation is no way around it.
    retired = _deprecated(own or said.get("kind:key"), old.id, until, overlap.link, now)
    retiring.change(tx, retired.target, lambda _: retired, actor=actor, now=now)
    tx.emit(
        ApiKeyRotated(at=now, key_id=old.id, key_name=old.name, user_id=old.user_id, successor=made.id, until=until)
    )
    return Rotated(text=text, made=made, old=replace(old, expires_at=until, replaced_by=made.id))


def _over(key: ApiKey, now: int) -> bool:
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)


def _succession(old: str, successor: str, *, until: int, now: int) -> Update:
    """The one statement that gives a good key its successor, if it has none."""
    living = or_(table.c.expires_at.is_(None), table.c.expires_at > now)
    guard = (table.c.id == old, table.c.revoked_at.is_(None), table.c.replaced_by.is_(None), living)
    return update(table).where(*guard).values(replaced_by=successor, expires_at=until)


def _like(old: ApiKey, now: int) -> NewKey:
    """What takes the place of a key. One that was taken in keeps the scopes it came with, whoever owns it."""
    kept = old.source == ISSUED or old.source.startswith(ROTATED)
    return NewKey(
        name=old.name,
        user_id=old.user_id,
        scopes=old.scopes,
        roles=old.roles,
        expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
        source=old.source if kept else f"{ROTATED}{old.source}"[:LONGEST_SOURCE],
    )


def _deprecated(before: Retirement | None, key_id: str, until: int, link: str, now: int) -> Retirement:
    """Say of the old key that it ends, and keep what else was said of it."""
    said = before if before is not None and before.phase is not Phase.ACCEPT else None
    since = now if said is None or said.deprecated_at is None else said.deprecated_at
    if said is None:
        said = Retirement(target=f"key:{key_id}", phase=Phase.DEPRECATED, deprecated_at=min(since, until))
    sunset = until if said.sunset_at is None else min(until, said.sunset_at)
    return replace(
        said, target=f"key:{key_id}", deprecated_at=min(since, sunset), sunset_at=sunset, link=link or said.link
    )
