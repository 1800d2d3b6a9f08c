"""Routes are turned: one that nobody is hurt by, and one for a growing share of its callers, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story.callers import Script
from story.reading import APP
from story.stage import chapter, check, soon

if TYPE_CHECKING:
    from collections.abc import Iterable

    from story.callers import Desktop, Person
    from story.stage import Place

CROWD = 40
ROUTE = "GET /analyses"
SAFE = "GET /api/v1/analyses"


def turned(place: Place, desktop: Desktop, ann: Person) -> None:
    """Turn what the report calls safe for everybody, and the rest by percentage."""
    chapter("a safe route is turned, and nobody who used it notices")
    stranger = Script(place.port, 99)
    check(stranger.get("/api/v1/analyses").status == 200, "without a credential it still answers")
    place.rimlock("rollout", "set", SAFE, "required", *APP)
    soon(lambda: stranger.get("/api/v1/analyses").status == 401, "now it does not")
    check([answer.status for answer in desktop.look()] == [200, 200], "the desktop goes on")
    _by_percentage(place, ann)


def _by_percentage(place: Place, ann: Person) -> None:
    chapter(f"a route that {CROWD} programs call without a credential is turned for a growing share of them")
    crowd = [Script(place.port, 100 + number) for number in range(CROWD)]
    place.rimlock("rollout", "set", ROUTE, "required", "--percent", "25", *APP)
    soon(lambda: _refused(crowd), "some are refused")
    first = _refused(crowd)
    check(first == _refused(crowd) and len(first) < CROWD, f"{len(first)}, always the same ones")
    place.rimlock("rollout", "set", ROUTE, "required", "--percent", "60", *APP)
    soon(lambda: len(_refused(crowd)) > len(first), "more are")
    second = _refused(crowd)
    check(first < second and len(second) < CROWD, f"{len(second)}: those from before, and others")
    place.rimlock("rollout", "set", ROUTE, "required", *APP)
    soon(lambda: len(_refused(crowd)) == CROWD, "then all are")
    check(ann.get("/analyses?limit=1").status == 200, "Ann is not")
    for wanted, share in ((second, "60 %"), (first, "25 %"), (set(), "nobody")):
        place.rimlock("rollout", "back", ROUTE)
        soon(lambda wanted=wanted: _refused(crowd) == wanted, f"one step back: {share}, the same ones as before")


def _refused(crowd: Iterable[Script]) -> set[str]:
    return {one.address for one in crowd if one.get("/analyses?limit=1").status == 401}
