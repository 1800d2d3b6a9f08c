"""The old key is announced to end, refused for a while, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story.callers import Caller, Desktop
from story.reading import KEY
from story.stage import OLD_KEY, chapter, check, soon

if TYPE_CHECKING:
    from collections.abc import Iterable

    from story.callers import Answer, Person, Script
    from story.stage import Place

SUNSET = "Thu, 31 Dec 2099 23:59:59 GMT"
LINK = "https://lab.example/new-keys"
HEADERS = ("deprecation", "sunset", "link")
BENCHES = 20


def deprecated(place: Place, desktop: Desktop, ann: Person, script: Script) -> None:
    """Tell the desktop in every answer, and nobody else."""
    chapter("the old key is on its way out: the desktop is told, nobody else")
    check(not _told(desktop.look()), "nobody is told anything yet")
    place.rimlock("key", "deprecate", KEY, "--sunset", "2099-12-31", "--link", LINK)
    soon(lambda: len(_told(desktop.look())) == 2, "both answers to the desktop say it")
    answer = desktop.get("/analyses?limit=1")
    said = {name: answer.headers.get(name, "") for name in HEADERS}
    check(said["deprecation"].startswith("@") and said["sunset"] == SUNSET and LINK in said["link"], "all of it", said)
    check(ann.refresh() == 200, "Ann comes back")
    guess = Caller(place.port, desktop.agent, {"X-API-Key": "some other key"}, "127.0.1.99")
    others = [*ann.look(), *script.look(), guess.get("/analyses?limit=1")]
    check(not _told(others) and _all_well(others), "Ann, a program and a wrong key hear nothing of it")
    check([one["phase"] for one in place.asked("key", "retired")["items"]] == ["deprecated"], "the command says so too")


def browned_out(place: Place, desktop: Desktop, ann: Person, script: Script) -> None:
    """Refuse the key to some, then to all, and end that at once."""
    chapter("a brownout, for some and then for all; the telephone rings, and it ends")
    benches = [Desktop(place.port, OLD_KEY, f"127.0.1.{number + 10}") for number in range(BENCHES)]
    place.rimlock("key", "brownout", KEY, "--for", "10m", "--percent", "40")
    soon(lambda: _refused(benches), "some of the desktops are refused")
    some = _refused(benches)
    check(0 < len(some) < BENCHES, f"{len(some)} of {BENCHES}, the others go on")
    check(_refused(benches) == some, "and they are the same ones when they come again")
    place.rimlock("key", "brownout", KEY, "--for", "10m", "--percent", "100")
    soon(lambda: len(_refused(benches)) == BENCHES, "then all of them are")
    _refusal(desktop.look())
    check(_all_well([*ann.look(), *script.look()]), "Ann and the programs notice nothing")
    place.rimlock("key", "brownout", KEY, "--abort")
    soon(lambda: not _refused(benches), "the desktops work again")
    check(_all_well(desktop.look()) and len(_told(desktop.look())) == 2, "and are told, as before, that it will end")


def _refusal(answers: list[Answer]) -> None:
    """The laboratory's own form of an error, with our words in it."""
    for one in answers:
        found = (one.status, LINK in one.json["detail"], "retry-after" in one.headers, len(_told([one])))
        check(found == (401, True, True, 1), "the refusal says until when, and where to go", one)


def _refused(benches: Iterable[Desktop]) -> set[str]:
    return {one.address for one in benches if one.get("/explorer/summary?method=nitrate").status == 401}


def _told(answers: Iterable[Answer]) -> list[Answer]:
    return [one for one in answers if any(name in one.headers for name in HEADERS)]


def _all_well(answers: Iterable[Answer]) -> bool:
    return all(one.status == 200 for one in answers)
