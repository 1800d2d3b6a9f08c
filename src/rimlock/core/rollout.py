"""Stages changed while the application runs: appended, attributed, and one step back at any time.

Threat: a rule changed by nobody knows whom; a change that some processes have and others do not.
Source: design section 5; OWASP ASVS 5.0 V16.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, or_, select

from rimlock.core.access import Rule, Stage, parse_pattern
from rimlock.core.errors import NotFound
from rimlock.core.events import Event
from rimlock.core.revocations import announce, hold
from rimlock.core.schema import rollout as table

if TYPE_CHECKING:
    from sqlalchemy import RowMapping, Select

    from rimlock.core.database import Transaction

__all__ = ["Change", "StageChanged", "back", "history", "running_rules", "set_stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `stage` None: the target goes by its configured rule again. `at`: seconds since the epoch.

    `percent`: for how many callers of a hundred. `until`: when a permissive stage is to be over.
    """

    id: int
    method: str
    path: str
    stage: str | None
    before: str | None
    actor: str
    at: int
    reverts: int | None
    percent: int = 100
    until: int | None = None

    @property
    def pattern(self) -> str:
        """The target as a rule pattern."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChanged(Event):
    """The stage of a target was changed at run time."""

    pattern: str
    stage: str | None
    before: str | None
    actor: str
    percent: int = 100


def running_rules(tx: Transaction) -> tuple[Rule, ...]:
    """Return the run-time changes in force, oldest first; before each partial one what holds for the others."""
    changes = [change for newest in _in_force(tx) for change in (*_base(tx, newest), newest)]
    return tuple(
        Rule(
            pattern=change.pattern,
            stage=Stage(change.stage),
            source=f"run time, {change.actor}",
            percent=change.percent,
            until=change.until,
        )
        for change in changes
        if change.stage is not None
    )


def set_stage(
    tx: Transaction,
    pattern: str,
    stage: Stage | None,
    *,
    actor: str,
    now: int,
    percent: int = 100,
    until: int | None = None,
) -> Change:
    """Set the stage of a target, or with None leave it to the configuration again. Raises ConfigurationError."""
    method, _, path = parse_pattern(pattern)
    wanted = _PLAIN if stage is None else {"stage": stage.value, "percent": percent, "until": until}
    return _append(tx, method, path, wanted, actor=actor, now=now)


def back(tx: Transaction, *, actor: str, now: int, pattern: str | None = None) -> Change:
    """Undo the newest change that is not undone yet (of one target, when given). Raises NotFound when there is none."""
    last = _newest(tx, pattern)
    if last is None:
        raise NotFound("There is no change to take back.")
    before = tx.one(_of(last.method, last.path).where(table.c.id < last.id))
    wanted = {name: before[name] if before else plain for name, plain in _PLAIN.items()}
    return _append(tx, last.method, last.path, wanted, actor=actor, now=now, reverts=last.id)


def history(tx: Transaction, *, before: int | None = None, limit: int = 50) -> list[Change]:
    """Return changes, newest first, those older than the id `before`."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_change(row) for row in tx.all(query)]


def _append(
    tx: Transaction,
    method: str,
    path: str,
    wanted: dict[str, Any],
    *,
    actor: str,
    now: int,
    reverts: int | None = None,
) -> Change:
    """Write the change and announce it. The lock keeps two operators from both taking the same step back."""
    hold(tx)
    tx.lock("rimlock-rollout")
    standing = tx.one(_of(method, path))
    row: dict[str, Any] = {
        "method": method,
        "path": path,
        **wanted,
        "before": standing["stage"] if standing else None,
        "actor": actor[:200],
        "at": now,
        "reverts": reverts,
    }
    made = Change(id=tx.value(insert(table).values(**row).returning(table.c.id)), **row)
    announce(tx, "rollout", method + " " + path[:40], now=now)
    tx.emit(
        StageChanged(
            at=now, pattern=made.pattern, stage=made.stage, before=made.before, actor=actor, percent=made.percent
        )
    )
    return made


def _newest(tx: Transaction, pattern: str | None) -> Change | None:
    """The newest change that neither undoes another nor was undone itself."""
    hold(tx)
    tx.lock("rimlock-rollout")
    query = (
        select(table).where(table.c.reverts.is_(None), table.c.id.not_in(_UNDONE)).order_by(table.c.id.desc()).limit(1)
    )
    if pattern is not None:
        method, _, path = parse_pattern(pattern)
        query = query.where(table.c.method == method, table.c.path == path)
    row = tx.one(query)
    return None if row is None else _change(row)


def _in_force(tx: Transaction) -> list[Change]:
    newest = select(func.max(table.c.id)).group_by(table.c.method, table.c.path)
    return [_change(row) for row in tx.all(select(table).where(table.c.id.in_(newest)).order_by(table.c.id))]


def _base(tx: Transaction, change: Change) -> list[Change]:
    """Return what holds for the callers a partial change leaves out: the newest whole one under it, if any.

    Under it is what was changed before and not taken back since. What only takes back is none of these: it says again
    what another change said. Nor is the same stage for everybody, or a percentage could not be lowered from there.
    """
    if change.percent == _PLAIN["percent"]:
        return []
    whole = _of(change.method, change.path).where(
        table.c.id < change.id,
        table.c.percent == _PLAIN["percent"],
        or_(table.c.stage.is_(None), table.c.stage != change.stage),
        table.c.reverts.is_(None),
        table.c.id.not_in(_UNDONE),
    )
    row = tx.one(whole)
    return [] if row is None else [_change(row)]


def _of(method: str, path: str) -> Select[Any]:
    """The newest change of a target."""
    return select(table).where(table.c.method == method, table.c.path == path).order_by(table.c.id.desc()).limit(1)


def _change(row: RowMapping) -> Change:
    return Change(**row)


_PLAIN: dict[str, Any] = {"stage": None, "percent": 100, "until": None}
"""A target nothing was ever said of."""

_UNDONE = select(table.c.reverts).where(table.c.reverts.is_not(None))
