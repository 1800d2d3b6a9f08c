"""The laboratory as it was, fitted, and a day of its life watched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from story.stage import HOUR, chapter, check

if TYPE_CHECKING:
    from story.callers import Desktop, Person, Script
    from story.stage import Place

HOURS = 24


def as_it_was(place: Place, count: int) -> list[tuple[str, ...]]:
    """Fill the laboratory, fit it, and return the schema it had before."""
    chapter(f"a laboratory with {count:,} analyses, and no accounts")
    place.run(sys.executable, "-m", "lab.seed", "--count", str(count), "--database", f"sqlite:///{place.database}")
    check(place.host()["analyses"].rows == count, f"{count:,} analyses, nobody's")
    schema = place.schema()
    place.rimlock("db", "upgrade")
    place.serve("story.clocked:app")
    return schema


def a_day(place: Place, desktop: Desktop, ann: Person, scripts: list[Script]) -> None:
    """Let everybody do for a day what they always did, and stop in good order."""
    chapter("a day goes by: the desktop with the old key, Ann with an account, three programs with nothing")
    check(ann.register() == 201, "Ann has an account")
    place.rimlock("role", "set", "ann", "analyst")
    check(ann.sign_in().status == 200, "Ann signs in")
    refused: list[list[int]] = []
    for hour in range(HOURS):
        place.at((hour - HOURS) * HOUR)
        everybody = [desktop.hour(), ann.hour(), *(script.hour() for script in scripts)]
        refused += [statuses for statuses in everybody if max(statuses) >= 400]
    place.at(0)
    check(not refused, f"{HOURS} hours, and nobody was refused anything", refused)
    place.stop()
