"""Holds the routes as they are to the lock file: what is new, unstated, weaker, overdue or out of reach.

Threat: a weakened rule that passes review; a permissive rule that was to last a week and lasts for ever.
Source: design section 5; OWASP ASVS 5.0 V8.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from rimlock.retrofit.audit.claims import changes, shares_in_words
from rimlock.retrofit.audit.lock import claims_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rimlock.retrofit.audit.claims import Claim
    from rimlock.retrofit.audit.inventory import AuditedRoute, Inventory

__all__ = ["Remark", "compared", "standing_remarks"]

Kind = Literal[
    "unstated",
    "overdue",
    "shadowed",
    "new",
    "weakened",
    "strengthened",
    "replaced",
    "moved",
    "removed",
    "older",
    "probe",
]

WRITE = "if that is meant, run `rimlock routes --app … --write` and commit the lock file"
_WHY = {
    "weakened": "it lets in more than the lock file says",
    "strengthened": "it is stricter than the lock file says",
    "replaced": "Rimlock alone decides now who may reach it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about one route: whether it fails the check, what it is, why it matters, and how it is mended."""

    route: str
    kind: Kind
    fails: bool
    what: str
    why: str
    mend: str


def standing_remarks(inventory: Inventory, now: float, *, running: bool = False) -> list[Remark]:
    """Return what is wrong with the routes as they are, whatever the lock file says."""
    return [one for route in inventory.hosts for one in _about(route, now, running=running)]


def compared(
    inventory: Inventory, locked: Mapping[str, Claim], *, running: bool = False, strict: bool = False
) -> list[Remark]:
    """Return the differences to the lock file. `strict`: every difference fails."""
    present = claims_of(inventory.routes, running=running)
    remarks = [_new(name, claim) for name, claim in present.items() if name not in locked]
    for name, claim in present.items():
        if name in locked:
            remarks += _differences(name, locked[name], claim, strict=strict)
    remarks += [_removed(name, fails=strict) for name in locked if name not in present]
    if any(claim.checks is None for claim in locked.values()):
        remarks.append(_older(fails=strict))
    return remarks


def _about(route: AuditedRoute, now: float, *, running: bool) -> Iterator[Remark]:
    ruling = route.ruling if running else route.configured
    if not ruling.stated:
        yield Remark(
            route=route.name,
            kind="unstated",
            fails=True,
            what=f"no rule names it; the default {ruling.stage.value} applies",
            why="a route nobody decided about is open by accident as easily as by decision",
            mend=f'write [[route]] match = "{route.name}" with its stage in rimlock.toml',
        )
    if ruling.overdue(now):
        yield Remark(
            route=route.name,
            kind="overdue",
            fails=True,
            what=f"still {ruling.stage.value}, and that was to be over by {_day(ruling.until)}",
            why="a permissive rule without an end stays for ever",
            mend="turn the route to required, or give the rule a new `until` on purpose",
        )
    if route.shadowed_by is not None:
        yield _shadowed(route)


def _shadowed(route: AuditedRoute) -> Remark:
    return Remark(
        route=route.name,
        kind="shadowed",
        fails=False,
        what=f"never runs from {route.place}: {route.shadowed_by} answers in its place",
        why="whoever reads or secures this function believes that it answers; another one does",
        mend="remove one of the two, or declare the more exact path first",
    )


def _new(name: str, claim: Claim) -> Remark:
    return Remark(
        route=name,
        kind="new",
        fails=True,
        what=f"is not in the lock file; it is {shares_in_words(claim.shares)}",
        why="nobody has said yet that this is who may reach it",
        mend=f"look at its rule; {WRITE}",
    )


def _differences(name: str, before: Claim, after: Claim, *, strict: bool) -> Iterator[Remark]:
    for change in changes(before, after):
        weaker = change.kind == "weakened"
        yield Remark(
            route=name,
            kind=change.kind,
            fails=weaker or strict,
            what=change.what,
            why=_WHY[change.kind],
            mend=f"{'take the change back; ' if weaker else ''}{WRITE}",
        )
    if before.until != after.until:
        yield Remark(
            route=name,
            kind="moved",
            fails=strict,
            what=f"its permissive rule is to be over by {_day(after.until)}, and was to be by {_day(before.until)}",
            why="a date that is put off again and again is none",
            mend=WRITE,
        )


def _removed(name: str, *, fails: bool) -> Remark:
    return Remark(
        route=name,
        kind="removed",
        fails=fails,
        what="is in the lock file and not in the application",
        why="a caller may still ask for it, and a mount or a catch-all route may answer",
        mend=WRITE,
    )


def _older(*, fails: bool) -> Remark:
    return Remark(
        route="the lock file",
        kind="older",
        fails=fails,
        what="it was written before the application's own checks stood in it",
        why="a check of the application's own that is dropped goes unnoticed",
        mend="`rimlock routes --app … --write` adds them; commit the lock file",
    )


def _day(seconds: int | None) -> str:
    return "no date" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def failing(remarks: Iterable[Remark]) -> list[Remark]:
    """Return those that fail the check."""
    return [one for one in remarks if one.fails]
