"""Rows that belong to nobody get an owner, by commands that are killed at every step; and then it is all taken back."""

from __future__ import annotations

import sqlite3
from itertools import count
from typing import TYPE_CHECKING

from story.stage import HOST_TABLES, chapter, check

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


def given(place: Place, desktop: Desktop, script: Script) -> Seals:
    """Plan, apply, fill and verify while the laboratory is in use; return what the tables held before."""
    chapter("the rows get owners, while the laboratory is in use; every command is killed, and run again")
    before = place.host()
    (place.folder / "rimlock-ownership.toml").write_text(PLAN)
    tables = {one["table"]: one for one in place.asked("retrofit", "plan")["items"]}
    check(tables.keys() == set(HOST_TABLES) and place.host() == before, "the plan changed nothing")
    _killed_until_done(place, "retrofit", "apply")
    check(place.host(without=("owner_id",)) == before, "every row and every checksum is as before")
    _killed_until_done(place, "retrofit", "backfill", while_waiting=(desktop, script))
    check(_unowned(place) == 0, "no row is without an owner")
    check(_owned_by_ann(place) > 0, "what was recorded on Ann's sample is hers", _owned_by_ann(place))
    check(place.host(without=("owner_id",)) == before, "every row and every checksum is as before")
    place.rimlock("retrofit", "verify", "--strict")
    return before


def finished(place: Place, before: Seals) -> None:
    """Let no row be without an owner from now on. The laboratory rests meanwhile: SQLite rewrites the table."""
    chapter("no row may be without an owner from now on")
    place.stop()
    _killed_until_done(place, "retrofit", "finish", "--offline")
    with sqlite3.connect(place.database) as connection:
        (column,) = [row for row in connection.execute("PRAGMA table_info(analyses)") if row[1] == "owner_id"]
    check(column[3] == 1, "the column takes no NULL any more")
    check(place.host(without=("owner_id",)) == before, "every row and every checksum is as before")


def taken_back(place: Place, before: Seals) -> None:
    """Go all the way back."""
    chapter("and back: no owner, no column, no table of ours among the laboratory's")
    _killed_until_done(place, "retrofit", "rollback", "--offline")
    check(place.host() == before, "every row and every checksum is as before, the schema too")
    check(not {"auth_owner", "auth_retrofit"} & place.tables(), "nothing is left of it")


def _killed_until_done(place: Place, *words: str, while_waiting: tuple[Desktop, Script] | None = None) -> None:
    """Kill the command ever later, until it is through before it is killed; then once more, to see that it is done."""
    kills = 0
    for attempt in count():
        if not place.killed(*words, after=0.6 * 1.7**attempt):
            break
        kills += 1
        if while_waiting:
            desktop, script = while_waiting
            answers = (desktop.get("/explorer/summary?method=ph"), script.get("/analyses?limit=5"))
            check([answer.status for answer in answers] == [200, 200], "the laboratory answers meanwhile")
    place.rimlock(*words)
    check(kills > 0, f"killed {kills} times, and it went on where it was")


def _unowned(place: Place) -> int:
    with sqlite3.connect(place.database) as connection:
        (analyses,) = connection.execute("SELECT count(*) FROM analyses WHERE owner_id IS NULL").fetchone()
        (instruments,) = connection.execute(
            "SELECT count(*) FROM instruments WHERE CAST(id AS VARCHAR) NOT IN"
            " (SELECT row_key FROM auth_owner WHERE table_name = 'instruments')"
        ).fetchone()
    return int(analyses) + int(instruments)


def _owned_by_ann(place: Place) -> int:
    with sqlite3.connect(place.database) as connection:
        (rows,) = connection.execute(
            "SELECT count(*) FROM analyses WHERE owner_id = (SELECT id FROM auth_user WHERE username = 'ann')"
        ).fetchone()
    return int(rows)
