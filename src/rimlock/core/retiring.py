"""Retirements changed while the application runs: appended, attributed, heard of everywhere, and taken back.

Threat: a key cut off by nobody knows whom; a brownout that goes on in one process after it was aborted.
Source: design section 5; OWASP ASVS 5.0 V16.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, insert, or_, select

from rimlock.core.errors import ConfigurationError, NotFound
from rimlock.core.events import Event
from rimlock.core.retirements import Phase, Retirement, checked_target
from rimlock.core.revocations import announce, hold
from rimlock.core.schema import api_key
from rimlock.core.schema import retirement as table
from rimlock.core.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from sqlalchemy import ColumnElement, RowMapping, Select

    from rimlock.core.database import Transaction

__all__ = [
    "CONFIGURED",
    "CredentialRetirementChanged",
    "RetirementChange",
    "back",
    "change",
    "history",
    "in_force",
]

CONFIGURED = "configured"
"""The phase of a line that leaves a target to the rule file again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetirementChange:
    """One change. `said` None: the target goes by the rule file again. `at`: seconds since the epoch."""

    id: int
    target: str
    said: Retirement | None
    actor: str
    at: int
    reverts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRetirementChanged(Event):
    """How far a key or a kind of credential is on its way out was changed at run time."""

    target: str
    phase: str
    before: str
    actor: str
    sunset_at: int | None = None


def in_force(
    tx: Transaction,
    configured: Iterable[Retirement] = (),
    *,
    only: Collection[str] | None = None,
    living_at: int | None = None,
) -> list[Retirement]:
    """Return what holds: the newest run-time word on each target over the `configured` ones.

    A configured target `name:<name>` stands for every key of that name that is not itself the successor of another.
    `only`: what was said at run time of these targets. `living_at`: not of keys that are over by then.
    """
    known = {entry.target: entry for entry in _named(tx, configured)}
    newest = select(func.max(table.c.id)).group_by(table.c.target)
    query = select(table).where(table.c.id.in_(newest if only is None else newest.where(table.c.target.in_(only))))
    if living_at is not None:
        query = query.where(~_finished(living_at))
    for row in tx.all(query.order_by(table.c.id)):
        said = _change(row).said
        if said is not None:
            known[said.target] = said
    return list(known.values())


def change(
    tx: Transaction,
    target: str,
    make: Callable[[Retirement | None], Retirement | None],
    *,
    actor: str,
    now: int,
    configured: Iterable[Retirement] = (),
) -> RetirementChange:
    """Say something else of a target. `make` gets what holds and returns what is to hold, None for the configuration.

    Nobody else changes anything between the two. Raises ConfigurationError, and what `make` raises.
    """
    hold(tx)
    checked_target(target)
    standing = {entry.target: entry for entry in in_force(tx, configured, only={target})}.get(target)
    said = make(standing)
    if said is not None and said.target != target:
        raise ConfigurationError("a change speaks of its own target")
    return _append(tx, target, said, actor=actor, now=now)


def back(tx: Transaction, *, actor: str, now: int, target: str | None = None) -> RetirementChange:
    """Undo the newest change that is not undone yet (of one target, when given). Raises NotFound when there is none."""
    hold(tx)
    query = select(table).where(table.c.reverts.is_(None), table.c.id.not_in(_UNDONE))
    if target is not None:
        query = query.where(table.c.target == checked_target(target))
    last = tx.one(query.order_by(table.c.id.desc()).limit(1))
    if last is None:
        raise NotFound("There is no change to take back.")
    before = tx.one(_of(last["target"]).where(table.c.id < last["id"]))
    said = None if before is None else _change(before).said
    return _append(tx, last["target"], said, actor=actor, now=now, reverts=last["id"])


def history(tx: Transaction, *, before: int | None = None, limit: int = 50) -> list[RetirementChange]:
    """Return changes, newest first, those older than the id `before`."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_change(row) for row in tx.all(query)]


def _append(
    tx: Transaction, target: str, said: Retirement | None, *, actor: str, now: int, reverts: int | None = None
) -> RetirementChange:
    standing = tx.one(_of(target))
    row = {**_row(said), "target": target, "actor": actor[:200], "at": now, "reverts": reverts}
    number = tx.value(insert(table).values(**row).returning(table.c.id))
    announce(tx, "retirement", target[:64], now=now)
    tx.emit(
        CredentialRetirementChanged(
            at=now,
            target=target,
            phase=row["phase"],
            before=standing["phase"] if standing else CONFIGURED,
            actor=actor,
            sunset_at=said.sunset_at if said else None,
        )
    )
    source = replace(said, source=_source(actor)) if said else None
    return RetirementChange(id=number, target=target, said=source, actor=row["actor"], at=now, reverts=reverts)


def _row(said: Retirement | None) -> dict[str, Any]:
    if said is None:
        return {"phase": CONFIGURED}
    kept = ("deprecated_at", "sunset_at", "link", "percent", "refuse_after_sunset")
    windows = [window.as_dict() for window in said.windows]
    return {"phase": said.phase.value, "windows": windows, **{name: getattr(said, name) for name in kept}}


def _change(row: RowMapping) -> RetirementChange:
    kept = ("id", "target", "actor", "at", "reverts")
    return RetirementChange(said=_said(row), **{name: row[name] for name in kept})


def _said(row: RowMapping) -> Retirement | None:
    if row["phase"] == CONFIGURED:
        return None
    kept = ("target", "deprecated_at", "sunset_at", "link", "percent", "refuse_after_sunset")
    return Retirement(
        phase=Phase(row["phase"]),
        windows=tuple(Window(**window) for window in row["windows"]),
        source=_source(row["actor"]),
        **{name: row[name] for name in kept},
    )


def _named(tx: Transaction, configured: Iterable[Retirement]) -> list[Retirement]:
    """Return the configured entries with the ids of keys in place of their names."""
    entries = list(configured)
    by_name = {entry.target.removeprefix("name:"): entry for entry in entries if entry.target.startswith("name:")}
    plain = [entry for entry in entries if not entry.target.startswith("name:")]
    if not by_name:
        return plain
    query = select(api_key.c.id, api_key.c.name).where(
        api_key.c.name.in_(list(by_name)), api_key.c.revoked_at.is_(None), api_key.c.id.not_in(_SUCCESSORS)
    )
    found = [replace(by_name[row["name"]], target=f"key:{row['id']}") for row in tx.all(query)]
    return [*found, *plain]


def _finished(now: int) -> ColumnElement[bool]:
    """Of a line: whether it speaks of a key that is revoked or expired."""
    over = or_(api_key.c.revoked_at.is_not(None), api_key.c.expires_at <= now)
    return exists().where(api_key.c.id == func.substr(table.c.target, len("key:") + 1), over)


def _source(actor: str) -> str:
    return f"run time, {actor}"


def _of(target: str) -> Select[Any]:
    """The newest change of a target."""
    return select(table).where(table.c.target == target).order_by(table.c.id.desc()).limit(1)


_UNDONE = select(table.c.reverts).where(table.c.reverts.is_not(None))
_SUCCESSORS = select(api_key.c.replaced_by).where(api_key.c.replaced_by.is_not(None))
