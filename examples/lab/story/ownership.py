"""Rows that belong to nobody get an owner, by commands that are killed at every step; and then it is all taken back."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from story.stage import HOST_TABLES, chapter, check
from story.traffic import Traffic

if TYPE_CHECKING:
    from story.callers import Desktop, Script
    from story.stage import Place, Seals

PLAN = """\
ddl = "sql"

[map]
"STORY-1" = "ann"       # what was recorded on this sample is hers

[[table]]
name = "analyses"
mode = "column"

[[table.rule]]
column = "sample"

[[table]]
name = "instruments"
mode = "side"
"""
OWNER = ("owner_id",)
MOMENT, GROWTH = 0.02, 2.5
"""Seconds from a step to the second kill, the first comes at once; and by how much later each comes than the last."""
HALF_A_MEGABYTE = 2**19


def given(place: Place, desktop: Desktop, script: Script) -> tuple[Seals, int]:
    """Plan, apply, fill and verify while everybody works; return what the tables held, and how many rows came."""
    chapter("the rows get owners, while the laboratory is in use; every command is killed, and run again")
    before, schema = place.host(), place.schema()
    (place.folder / "rimlock-ownership.toml").write_text(PLAN)
    tables = {one["table"]: one for one in place.asked("retrofit", "plan")["items"]}
    check(tables.keys() == set(HOST_TABLES) and place.schema() == schema, "the plan changed nothing")
    with Traffic(desktop, script) as traffic:
        _killed_until_done(place, "retrofit", "apply")
        _killed_until_done(place, "retrofit", "backfill", last=False)
    _went_on(traffic)
    place.rimlock("retrofit", "backfill")
    _owned(place, before, traffic.recorded)
    place.rimlock("retrofit", "verify", "--strict")
    return before, traffic.recorded


def finished(place: Place, before: Seals) -> None:
    """Let no row be without an owner from now on. The laboratory rests meanwhile: SQLite rewrites the table."""
    chapter("no row may be without an owner from now on")
    place.stop()
    _killed_until_done(place, "retrofit", "finish", "--offline")
    required = place.ask("SELECT \"notnull\" FROM pragma_table_info('analyses') WHERE name = 'owner_id'")
    check(required == [(1,)], "the column takes no NULL any more", required)
    _as_before(place, before)


def taken_back(place: Place, before: Seals, recorded: int) -> None:
    """Go all the way back."""
    chapter("and back: no owner, no column, no table of ours among the laboratory's")
    _killed_until_done(place, "retrofit", "rollback", "--offline")
    check(place.host(like=before) == before, "every row and every checksum is as before")
    check(place.host()["analyses"].rows == before["analyses"].rows + recorded, "what came meanwhile is there too")
    check(not {"auth_owner", "auth_retrofit"} & place.tables(), "nothing is left of it")
    place.serve("story.clocked:app")


def _killed_until_done(place: Place, *words: str, last: bool = True) -> None:
    """Kill the command after its next step, ever later, until it is through before that; then run it once more."""
    kills = 0
    for attempt in count():
        after = MOMENT * GROWTH ** (attempt - 1) if attempt else 0.0
        if not place.killed(*words, step=lambda: _step(place), after=after):
            break
        kills += 1
    check(kills > 0, f"killed {kills} times, and it went on where it was")
    if last:
        place.rimlock(*words)


def _step(place: Place) -> object:
    """Return what changes with each step: the schema, what the retrofit noted, and a long transaction under way."""
    begun = "auth_retrofit" in place.tables()
    noted = place.ask("SELECT name, phase, cursor, data FROM auth_retrofit ORDER BY name") if begun else None
    return place.ask("PRAGMA schema_version"), noted, place.unfinished() // HALF_A_MEGABYTE


def _went_on(traffic: Traffic) -> None:
    sent = traffic.statuses.total()
    check(
        traffic.statuses.keys() == {200, 201},
        f"all {sent} requests meanwhile were answered as ever, {traffic.recorded} results recorded; "
        f"the slowest took {traffic.slowest * 1000:.0f} ms",
        traffic.statuses,
    )


def _owned(place: Place, before: Seals, recorded: int) -> None:
    ann = place.ask("SELECT id FROM auth_user WHERE username = 'ann'")[0][0]
    ((nobody,),) = place.ask("SELECT count(*) FROM analyses WHERE owner_id IS NULL")
    ((hers,),) = place.ask("SELECT count(*) FROM analyses WHERE owner_id = ?", ann)
    ((meant,),) = place.ask("SELECT count(*) FROM analyses WHERE sample = 'STORY-1'")
    ((beside,),) = place.ask("SELECT count(*) FROM auth_owner WHERE table_name = 'instruments'")
    check(nobody == 0 and beside == before["instruments"].rows, "every row has an owner", nobody, beside)
    check(hers == meant > recorded, f"the {hers} results on Ann's sample are hers, and no others are", hers, meant)
    _as_before(place, before)


def _as_before(place: Place, before: Seals) -> None:
    check(place.host(without=OWNER, like=before) == before, "every row and every checksum is as before")
