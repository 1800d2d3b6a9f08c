"""Everything is rolled back, and the laboratory runs as it ran before anybody thought of accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story.reading import APP
from story.stage import Wrong, chapter, check, soon

if TYPE_CHECKING:
    from story.callers import Desktop, Script
    from story.stage import Place, Seals

MOST = 10
NOTHING = "to take back"


def all_the_way(place: Place, desktop: Desktop, script: Script) -> None:
    """Take back every change of a stage and of the key, while everybody works."""
    chapter("the way back: stages, and the key")
    _taken_back(place, "rollout")
    stages = place.asked("rollout", "status", *APP)["items"]
    changed = [row for row in stages if row["source"] not in {"default", "rimlock.toml"} or row["percent"] != 100]
    check(not changed, "every route stands where the file says", changed)
    _taken_back(place, "key")
    check(not place.asked("key", "retired")["items"], "nothing is on its way out")
    soon(lambda: script.get("/api/v1/analyses?limit=1").status == 200, "without a credential it answers again")
    soon(lambda: not any("sunset" in one.headers for one in desktop.look()), "the desktop is told nothing any more")


def unfitted(place: Place, schema: list[tuple[str, ...]], before: Seals, recorded: int, callers: tuple) -> None:
    """Migrate down, start the old application, and compare everything with the beginning."""
    chapter("and Rimlock is gone: the old application on its old database")
    place.stop()
    place.rimlock("db", "downgrade", "base", "--yes")
    check(place.schema() == schema, "the schema is, word for word, the one before the fitting", place.schema())
    check(place.host(like=before) == before, "every row and every checksum is as after the day that was watched")
    check(place.host()["analyses"].rows == before["analyses"].rows + recorded, f"and the {recorded} that came since")
    place.serve("lab.main:app")
    desktop, script = callers
    check(desktop.hour() == [201, 200, 200] and script.hour() == [200, 200], "the desktop and the programs go on")
    check(script.get("/explorer/summary").status == 401, "who has no key is refused, as ever")
    check(desktop.get("/auth/me").status == 404, "and of accounts nobody knows anything")


def _taken_back(place: Place, what: str) -> None:
    """Undo changes until there is none."""
    for _ in range(MOST):
        said = place.rimlock(what, "back", code=None)
        if NOTHING in said:
            return
    raise Wrong(f"`rimlock {what} back` does not come to an end: {said}")
