"""Stages changed while the application runs: appended, attributed, and one step back at any time.

Threat: a rule changed by nobody knows whom; a change that some processes have and others do not.
Source: design section 5; OWASP ASVS 5.0 V16.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from rimlock.core.access import Rule, Stage, parse_pattern
from rimlock.core.errors import NotFound
from rimlock.core.events import Event
from rimlock.core.revocations import announce
from rimlock.core.schema import rollout as table

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction

__all__ = ["Change", "StageChanged", "back", "history", "running_rules", "set_stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `stage` None: the target goes by its configured rule again. `at`: seconds since the epoch."""

    id: int
    method: str
    path: str
    stage: str | None
    before: str | None
    actor: str
    at: int
    reverts: int | None

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


def running_rules(tx: Transaction) -> tuple[Rule, ...]:
    """Return the run-time changes in force, oldest first."""
    return tuple(
        Rule(pattern=change.pattern, stage=Stage(change.stage), source=f"run time, {change.actor}")
        for change in _in_force(tx)
        if change.stage is not None
    )


def set_stage(tx: Transaction, pattern: str, stage: Stage | None, *, actor: str, now: int) -> Change:
    """Set the stage of a target, or with None leave it to the configuration again. Raises ConfigurationError."""
    method, _, path = parse_pattern(pattern)
    return _append(tx, method, path, stage.value if stage else None, actor=actor, now=now)


def back(tx: Transaction, *, actor: str, now: int, pattern: str | None = None) -> Change:
    """Undo the newest change that is not undone yet (of one target, when given). Raises NotFound when there is none."""
    last = _newest(tx, pattern)
    if last is None:
        raise NotFound("There is no change to take back.")
    return _append(tx, last.method, last.path, last.before, actor=actor, now=now, reverts=last.id)


def history(tx: Transaction, *, before: int | None = None, limit: int = 50) -> list[Change]:
    """Return changes, newest first, those older than the id `before`."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_change(row) for row in tx.all(query)]


def _append(
    tx: Transaction, method: str, path: str, stage: str | None, *, actor: str, now: int, reverts: int | None = None
) -> Change:
    """Write the change and announce it. The lock keeps two operators from both taking the same step back."""
    tx.lock("rimlock-rollout")
    standing = tx.one(
        select(table.c.stage).where(table.c.method == method, table.c.path == path).order_by(table.c.id.desc()).limit(1)
    )
    before = standing["stage"] if standing else None
    row: dict[str, Any] = {
        "method": method,
        "path": path,
        "stage": stage,
        "before": before,
        "actor": actor[:200],
        "at": now,
        "reverts": reverts,
    }
    made = tx.value(insert(table).values(**row).returning(table.c.id))
    announce(tx, "rollout", method + " " + path[:40], now=now)
    tx.emit(StageChanged(at=now, pattern=f"{method} {path}", stage=stage, before=before, actor=actor))
    return Change(id=made, **row)


def _newest(tx: Transaction, pattern: str | None) -> Change | None:
    """The newest change that neither undoes another nor was undone itself."""
    tx.lock("rimlock-rollout")
    undone = select(table.c.reverts).where(table.c.reverts.is_not(None))
    query = (
        select(table).where(table.c.reverts.is_(None), table.c.id.not_in(undone)).order_by(table.c.id.desc()).limit(1)
    )
    if pattern is not None:
        method, _, path = parse_pattern(pattern)
        query = query.where(table.c.method == method, table.c.path == path)
    row = tx.one(query)
    return None if row is None else _change(row)


def _in_force(tx: Transaction) -> list[Change]:
    newest = select(func.max(table.c.id)).group_by(table.c.method, table.c.path)
    return [_change(row) for row in tx.all(select(table).where(table.c.id.in_(newest)).order_by(table.c.id))]


def _change(row: RowMapping) -> Change:
    return Change(**row)
