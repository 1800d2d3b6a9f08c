"""Somebody guesses Ann's password, many guesses at once. The attacker is shut out, and Ann is not."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from story.callers import Person
from story.stage import chapter, check

if TYPE_CHECKING:
    from story.callers import Answer
    from story.stage import Place

GUESSES, AT_ONCE, TESTED = 24, 12, 5
ATTACKER, ELSEWHERE = "127.0.9.9", "127.0.9.10"


def attacked(place: Place, ann: Person) -> None:
    """Guess, be shut out, and let Ann in all the same."""
    chapter("an attacker guesses Ann's password")
    ours = _guess(Person(place.port, ann.login, "", ATTACKER))
    check(_statuses(ours) == {401: TESTED, 429: GUESSES - TESTED}, f"{TESTED} of {GUESSES} are tested", _statuses(ours))
    check(all(int(one.headers["retry-after"]) > 0 for one in ours if one.status == 429), "the others are told to wait")
    theirs = _guess(Person(place.port, "nobody-of-that-name", "", ELSEWHERE))
    check(_said(theirs) == _said(ours), "for a name that nobody has it is word for word the same", _said(theirs))
    _owner(place, ann)
    _noticed(place)


def _owner(place: Place, ann: Person) -> None:
    check(ann.sign_in().status == 200, "Ann signs in on the device she always uses")
    there = Person(place.port, ann.login, ann.password, ATTACKER)
    there.device = ann.device
    check(there.sign_in().status == 200, "even behind the attacker's address")
    new = Person(place.port, ann.login, ann.password, "127.0.2.9")
    check(new.sign_in().status == 429, "a device that is new to her account has to wait")
    place.rimlock("user", "unlock", ann.login)
    check(new.sign_in().status == 200, "until somebody unlocks it")


def _noticed(place: Place) -> None:
    rows = place.asked("audit", "list", "--address", ATTACKER, "--limit", "100")["items"]
    found = Counter(row["event"] for row in rows)
    check(found["LoginFailed"] == TESTED, f"the audit has the {TESTED} guesses", found)
    check(found["LoginThrottled"] and found["AccountLockedOut"], "and that the attacker was shut out", found)


def _guess(attacker: Person) -> list[Answer]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda number: attacker.sign_in(f"perhaps it is {number} this time"), range(GUESSES)))


def _statuses(answers: list[Answer]) -> dict[int, int]:
    return dict(Counter(one.status for one in answers))


def _said(answers: list[Answer]) -> dict[tuple[int, bytes, tuple[str, ...]], int]:
    """What an attacker can tell apart: status, body and the names of headers."""
    return dict(Counter((one.status, one.body, tuple(sorted(one.headers))) for one in answers))
