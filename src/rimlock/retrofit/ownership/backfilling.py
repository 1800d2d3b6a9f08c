"""`backfill`: gives every row without an owner one, batch by batch, and can be killed at any moment.

Threat: a row given twice or forgotten after a crash; an owner set by live traffic that is overwritten; two backfills
that undo each other; a writer of the application that waits.
Source: requirements L7, N3; https://www.postgresql.org/docs/current/explicit-locking.html 13.3.2 (SKIP LOCKED).

A batch, what it counted and where it ended are one transaction, which begins by taking the line of the table and looks
whether it is still where it was: so two backfills share the work, and what a killed one did not commit is done again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.applying import refuse_other_plan
from rimlock.retrofit.ownership.events import CameTo, on_record
from rimlock.retrofit.ownership.evidence import asked_by, judge_all, read_rows, span_end
from rimlock.retrofit.ownership.giving import give
from rimlock.retrofit.ownership.pacing import Pace
from rimlock.retrofit.ownership.progress import keep, require, standing
from rimlock.retrofit.ownership.retrofitting import unowned_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from rimlock.retrofit.ownership.evidence import Judged, Row, Target, Verdict
    from rimlock.retrofit.ownership.host import Host
    from rimlock.retrofit.ownership.people import People
    from rimlock.retrofit.ownership.progress import Standing
    from rimlock.retrofit.ownership.retrofitting import Retrofit

__all__ = ["Filled", "backfill", "noted"]

PASSES = 4
EXAMPLES = 50
SHORT = 200
TOLD_EVERY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What a table came to. `by`: rows given, by rule. `left`: rows without an owner, `ambiguous` among them."""

    table: str
    given: int
    left: int
    by: Mapping[str, int]
    ambiguous: Mapping[str, int]
    unmatched: Mapping[str, int]
    done: bool


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch read and judged before any lock is taken. `rows`: how they looked then."""

    line: Standing
    end: str | None
    rows: list[Row]
    judged: Judged


@dataclass(frozen=True, slots=True)
class _Done:
    """What a batch came to: where the table stands now, rows given, and whether there is more."""

    line: Standing
    given: int = 0
    more: bool = True


def _came_to(filled: list[Filled]) -> CameTo:
    left = sum(one.left for one in filled)
    return CameTo(rows=sum(one.given for one in filled), left=left, done=not left)


@on_record("backfill", _came_to)
async def backfill(work: Retrofit, *, batch: int = 1_000, pause: float = 0.0, most: int | None = None) -> list[Filled]:
    """Give owners until every row of the plan has one, or `most` rows got theirs by this call.

    `batch`: rows in a transaction at most; fewer where the database is slow. `pause`: seconds between two at least.
    Raises ConfigurationError before `apply`, Unavailable; then it goes on where it stopped when called again.
    """
    found = await work.standing()
    people = work.people
    system = require(found).data.get("system", "")
    if await people.missing([system]):
        raise ConfigurationError("the System user is gone; run `rimlock retrofit apply`, which makes it anew")
    owners = await work.owners(people, system)
    targets = await work.targets()
    for one in targets:
        _require_ready(work, one, found)
    filled: list[Filled] = []
    for one in targets:
        room = None if most is None else most - sum(done.given for done in filled)
        pace = Pace(dialect=work.host.dialect, most=batch, pause=pause)
        filled.append(await _table(work, one, people, owners[one.plan.default], pace, room))
    return filled


def _require_ready(work: Retrofit, one: Target, found: Mapping[str, Standing]) -> None:
    line = found.get(one.host.label)
    if line is None or line.phase in {"counted", "waiting"}:
        raise ConfigurationError(f"{one.host.label!r} is not ready; run `rimlock retrofit apply` and do what it says")
    if line.phase == "leaving":
        raise ConfigurationError("a way back was begun here; finish it with `rimlock retrofit rollback`")
    refuse_other_plan(work, one, line.data.get("plan", {}))
    if one.plan.mode == "column" and one.plan.column not in one.host.table.c:
        raise ConfigurationError(f"{one.host.label!r} has no column {one.plan.column!r} any more; run `apply` again")


async def _table(work: Retrofit, one: Target, people: People, default: str, pace: Pace, room: int | None) -> Filled:
    """Walk the table until a walk leaves nothing but what is ambiguous, and at most PASSES times."""
    given, stopped = 0, False
    if await _has_more(work, one):
        await work.host.write(lambda on: _start_over(on, one, work.clock()))
    for _ in range(PASSES):
        before = given
        given, stopped = await _walk(work, one, people, default, pace, room, given)
        if stopped:
            break
        left = await unowned_rows(work.host, one)
        ambiguous = sum((await _line(work, one)).data.get("ambiguous", {}).values())
        if left <= ambiguous or (given == before and left):
            break
        await work.host.write(lambda on: _start_over(on, one, work.clock()))
    return await _come_to(work, one, given, stopped=stopped)


async def _has_more(work: Retrofit, one: Target) -> bool:
    """Say whether a walk that came to its end is followed by another: it was cut short, or rows came in since."""
    line = await _line(work, one)
    return bool(line.data.get("walked")) and (line.phase == "filling" or await unowned_rows(work.host, one) > 0)


async def _walk(
    work: Retrofit, one: Target, people: People, default: str, pace: Pace, room: int | None, given: int
) -> tuple[int, bool]:
    """Go from where the table stands to its end; return the rows given so far, and whether `room` ended it."""
    done, told = _Done(await _line(work, one)), monotonic()
    while done.more:
        if room is not None and given >= room:
            return given, True
        size = pace.size if room is None else min(pace.size, room - given)
        batch = await _read(work.host, one, done.line, size, people, default)
        done = await work.host.write(lambda on, it=batch: _commit(on, one, it, work.clock()))  # type: ignore[misc]  # bound here
        given += done.given
        if monotonic() - told > TOLD_EVERY:
            work.tell({"event": "backfill", "table": one.host.label, "given": given, "batch": pace.size})
            told = monotonic()
        await asyncio.sleep(pace.after(work.host.held))
    return given, False


async def _line(work: Retrofit, one: Target) -> Standing:
    line = await work.host.read(lambda on: standing(on, one.host.label))
    if line is None:
        raise ConfigurationError("a way back was taken here meanwhile; there is nothing left to fill")
    return line


async def _read(host: Host, one: Target, line: Standing, size: int, people: People, default: str) -> _Batch:
    """Read the next rows and judge them, while nothing is locked."""
    end, rows = await host.read(lambda on: _next(on, one, line.cursor, size))
    if asked := {question for question in asked_by(rows, one) if people.meant(question) is None}:
        await people.learn(asked)
    # A key too long to be kept beside the table leaves its row without an owner; `verify` counts it.
    rows = [row for row in rows if one.plan.mode == "column" or len(row[1]) <= SHORT]
    return _Batch(line, end, rows, judge_all(rows, one, people.meant, default))


def _next(connection: Connection, one: Target, after: str | None, size: int) -> tuple[str | None, list[Row]]:
    end = span_end(connection, one, after, size)
    return end, read_rows(connection, one, after, end)


def _commit(connection: Connection, one: Target, batch: _Batch, now: float) -> _Done:
    """Write one batch, all of it in this transaction. Whoever finds the line moved lets the other one's batch count.

    The rows are read again, under the lock now: one that says something else than it did is left for another walk.
    """
    line = standing(connection, one.host.label, held=True)
    if line is None or line.phase == "leaving":
        raise ConfigurationError("a way back was begun here meanwhile")
    if line.data.get("walked"):
        return _Done(line, more=False)
    if (line.cursor, line.data.get("pass")) != (batch.line.cursor, batch.line.data.get("pass")):
        return _Done(line)
    judged = _as_before(read_rows(connection, one, batch.line.cursor, batch.end, hold=True), batch)
    given = give(connection, one, judged)
    line = noted(line, one, judged).at("filling", walked=batch.end is None)
    line = replace(line, cursor=batch.end or line.cursor)
    keep(connection, line, now=now)
    return _Done(line, given, batch.end is not None)


def _as_before(rows: list[Row], batch: _Batch) -> Judged:
    """Return what was judged, without the rows that are not as they were."""
    if rows == batch.rows:
        return batch.judged
    same = set(rows)
    return {verdict: [row for row in held if row in same] for verdict, held in batch.judged.items()}


def noted(line: Standing, one: Target, judged: Judged) -> Standing:
    """Return the line with a batch added to its counts."""
    by, ambiguous, unmatched = (Counter(line.data.get(name, {})) for name in ("by", "ambiguous", "unmatched"))
    for verdict, rows in judged.items():
        if verdict.owner is None:
            _count(ambiguous, verdict, len(rows))
            continue
        by[_label(one, verdict)] += len(rows)
        if verdict.rule is None and verdict.texts:
            _count(unmatched, verdict, len(rows))
    return line.at("filling", by=dict(+by), ambiguous=dict(+ambiguous), unmatched=dict(+unmatched))


def _label(one: Target, verdict: Verdict) -> str:
    return "default" if verdict.rule is None else f"{verdict.rule + 1}. {one.plan.rules[verdict.rule].label}"


def _count(known: Counter[str], verdict: Verdict, rows: int) -> None:
    """Count texts, the first EXAMPLES of them by name and the rest together."""
    text = " / ".join(sorted(verdict.texts))[:SHORT]
    known[text if text in known or len(known) < EXAMPLES else "…"] += rows


def _start_over(connection: Connection, one: Target, now: float) -> None:
    """Walk again, for rows that somebody held or that came in behind us; after everything was filled, too."""
    line = standing(connection, one.host.label, held=True)
    if line is not None and line.phase in {"filling", "filled", "finished"}:
        keep(connection, _anew(line), now=now)


def _anew(line: Standing) -> Standing:
    """Return the line at the beginning of another walk: what is ambiguous is counted again."""
    passed = {"pass": line.data.get("pass", 1) + 1, "ambiguous": {}, "walked": False}
    return replace(line.at("filling", **passed), cursor=None)


async def _come_to(work: Retrofit, one: Target, given: int, *, stopped: bool) -> Filled:
    """Note how the table stands."""
    left = await unowned_rows(work.host, one)

    def write(connection: Connection) -> Standing:
        line = standing(connection, one.host.label, held=True)
        if line is None:
            raise ConfigurationError("a way back was taken here meanwhile")
        if stopped or line.phase != "filling":
            return line
        line = line.at("filling" if left else "filled")
        keep(connection, line, now=work.clock())
        return line

    data = (await work.host.write(write)).data
    kept = {name: data.get(name, {}) for name in ("by", "ambiguous", "unmatched")}
    return Filled(table=one.host.label, given=given, left=left, done=not left, **kept)
