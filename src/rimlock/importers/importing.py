"""An import from end to end: look for twins, then judge and write batch after batch, and report.

Threat: an import that cannot be stopped, or that is half done and cannot go on.
Source: design section 1.4; requirements N1, F4.

Without `apply` nothing is written. A batch is one transaction, in which each person is written down by their id in the
source: an import that is killed is finished by running it again.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.core.users import OwnUsers
from rimlock.importers.carrying import Carried, carry
from rimlock.importers.events import ImportFinished
from rimlock.importers.fitting import Choice, Fit, fit
from rimlock.importers.records import Leftover, Record, Unfit
from rimlock.importers.twins import find_twins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rimlock.core.database import Transaction
    from rimlock.feature import Context
    from rimlock.importers.origin import Origin
    from rimlock.importers.twins import Twins

__all__ = ["BATCH", "Report", "bring", "require_name", "require_own"]

BATCH = 250
"""People in one transaction: on SQLite everybody else's writes wait for it."""

TRIES = 3
MOST_SHOWN = 1_000
"""Rows a report names of each kind; it counts all of them."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]{0,47}")


@dataclass(slots=True, kw_only=True)
class Report:
    """What an import did, or without `apply` would do. Rows are named by their ids in the source.

    `new`, `known`, `changed`, `linked`, `refused` add up to `read`. `refusals` and `notes` hold the first rows, `why`
    and `noted` count all of them. `hashes`: how many of each kind. `roles_not_given`: roles there that no option maps.
    `invalidate`: secrets of the source that stay behind, to be made worthless there.
    """

    source: str
    apply: bool
    read: int = 0
    new: int = 0
    known: int = 0
    changed: int = 0
    linked: int = 0
    refused: int = 0
    belongings: Counter[str] = field(default_factory=Counter)
    hashes: Counter[str] = field(default_factory=Counter)
    roles_not_given: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    refusals: list[Unfit] = field(default_factory=list)
    noted: Counter[str] = field(default_factory=Counter)
    notes: list[tuple[str, str]] = field(default_factory=list)
    invalidate: list[Leftover] = field(default_factory=list)

    def add(self, unfit: Sequence[Unfit], carried: Carried) -> None:
        """Count a batch."""
        refused = [*unfit, *carried.refused]
        self.read += len(unfit) + carried.acts.total()
        for act in ("new", "known", "changed", "linked"):
            setattr(self, act, getattr(self, act) + carried.acts[act])
        self.refused += len(refused)
        self.belongings += carried.belongings
        self.hashes += carried.hashes
        self.roles_not_given += carried.unmapped
        self.why.update(one.reason for one in refused)
        self.noted.update(note for _, note in carried.notes)
        self.refusals += refused[: MOST_SHOWN - len(self.refusals)]
        self.notes += carried.notes[: MOST_SHOWN - len(self.notes)]


async def bring(
    context: Context,
    origin: Origin,
    choice: Choice,
    *,
    apply: bool = False,
    batch: int = BATCH,
    tell: Callable[[Report, Sequence[Unfit]], None] | None = None,
) -> Report:
    """Take over the people of a source. `tell` hears the report so far, and who was refused, after each batch.

    Raises ConfigurationError for a source that cannot be read, Unavailable.
    """
    require_name(choice.source)
    require_own(context)
    report = Report(source=choice.source, apply=apply)
    report.invalidate = await origin.leftovers()
    twins = await find_twins(origin)
    async for page in origin.records(batch):
        unfit, carried = await _batch(context, page, choice, twins, apply=apply)
        report.add(unfit, carried)
        if tell is not None:
            tell(report, [*unfit, *carried.refused])
    if apply:
        await context.database.write(lambda tx: _finished(tx, report, context.now()))
    return report


def require_name(source: str) -> None:
    """Return for a name that a source may have. Raises ConfigurationError."""
    if not _NAME.fullmatch(source):
        raise ConfigurationError(
            f"{source!r} is no name for a source; use up to 48 of a to z, 0 to 9 and . _ : -, a letter or digit first"
        )


def require_own(context: Context) -> None:
    """Return where accounts are in our own table. Raises ConfigurationError where the application maps its own."""
    if not isinstance(context.users, OwnUsers):
        raise ConfigurationError(
            "this installation keeps its users in a table of the application, which is used in place; "
            "there is nothing to import into"
        )


async def _batch(
    context: Context, page: Sequence[Record | Unfit], choice: Choice, twins: Twins, *, apply: bool
) -> tuple[list[Unfit], Carried]:
    now = context.now()
    judged = [one if isinstance(one, Unfit) else _fit(context, one, choice, twins, now) for one in page]
    unfit = [one for one in judged if isinstance(one, Unfit)]
    fits, twice = _once([one for one in judged if isinstance(one, Fit)])

    def work(tx: Transaction) -> Carried:
        return carry(tx, fits, choice, now=now, apply=apply)

    if not apply:
        return unfit + twice, await context.database.read(work)
    for _ in range(TRIES):
        try:
            return unfit + twice, await context.database.write(work)
        except IntegrityError:  # somebody registered one of these names at this moment: judge again
            continue
    raise Unavailable


def _fit(context: Context, one: Record, choice: Choice, twins: Twins, now: int) -> Fit | Unfit:
    return fit(one, choice, twins, now=now, check=context.fields.check)


def _once(fits: list[Fit]) -> tuple[list[Fit], list[Unfit]]:
    """Part the rows from those that repeat the id of one before them, as a file can."""
    found: dict[str, Fit] = {}
    twice = [Unfit(one.row, "id_repeated") for one in fits if found.setdefault(one.row, one) is not one]
    return list(found.values()), twice


def _finished(tx: Transaction, report: Report, now: int) -> None:
    counts = {name: getattr(report, name) for name in ("new", "changed", "linked", "refused")}
    tx.emit(ImportFinished(at=now, source=report.source, **counts))
