"""What is claimed of one route, in a form that can be written down and compared.

Threat: a weakening that two spellings of the same rule hide, or a strengthening that looks like one.
Source: design section 5 (stages, requirements, percentages).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rimlock.core.access import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rimlock.core.access import Ruling
    from rimlock.retrofit.audit.inventory import AuditedRoute

__all__ = ["Change", "Claim", "changes", "claim_of"]

LADDER = tuple(Stage)
"""The stages, the weakest first."""

EVERYBODY = 100

Kind = Literal["weakened", "strengthened", "replaced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The claim of one route. Empty sets ask for nothing.

    `shares`: how many callers of a hundred are in which stage. `inside`: what the function itself demands, in words.
    `checks`: the host's own checks by name; None where a lock file was written before they stood in it.
    """

    shares: Mapping[str, int]
    stated: bool = True
    credentials: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    fresh: int | None = None
    until: int | None = None
    inside: frozenset[str] = field(default=frozenset())
    checks: frozenset[str] | None = field(default=frozenset())

    @property
    def known_only(self) -> bool:
        """Whether every caller has to be known to us, by the rule or by a demand of the function."""
        return self.at_least(Stage.REQUIRED) == EVERYBODY or bool(self.inside)

    def at_least(self, stage: str) -> int:
        """Return how many callers of a hundred are in this stage or a stricter one."""
        strict = LADDER[LADDER.index(Stage(stage)) :]
        return sum(self.shares.get(one.value, 0) for one in strict)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two claims: whether it lets more in, and what it is in words.

    `replaced`: a check of the host's own is gone where every caller has to be known to us.
    """

    kind: Kind
    what: str


def claim_of(route: AuditedRoute, *, running: bool = False) -> Claim:
    """Return what is claimed of a route by configuration; with `running` by the changes at run time too."""
    ruling = route.ruling if running else route.configured
    demand = ruling.requirement
    return Claim(
        shares=_shares(ruling),
        stated=ruling.stated,
        credentials=frozenset(demand.credentials),
        roles=demand.any_role,
        permissions=demand.permissions,
        scopes=demand.scopes,
        fresh=demand.fresh,
        until=ruling.until,
        inside=frozenset(route.inside.demands),
        checks=frozenset(route.inside.checks),
    )


def changes(before: Claim, after: Claim) -> list[Change]:
    """Return every difference, each by itself: what weakens one part is not made good by another."""
    return [
        *_stage_changes(before, after),
        *_alternatives("credential", before.credentials, after.credentials),
        *_alternatives("role", before.roles, after.roles),
        *_conjunction("permission", before.permissions, after.permissions),
        *_conjunction("scope", before.scopes, after.scopes),
        *_conjunction("demand of the function:", before.inside, after.inside),
        *_own_checks(before, after),
        *_freshness(before.fresh, after.fresh),
        *_statement(before, after),
    ]


def shares_in_words(shares: Mapping[str, int]) -> str:
    """Return `required`, or `required for 10 %, open for 90 %`."""
    if len(shares) == 1:
        return next(iter(shares))
    ordered = sorted(shares, key=lambda stage: LADDER.index(Stage(stage)), reverse=True)
    return ", ".join(f"{stage} for {shares[stage]} %" for stage in ordered)


def _shares(ruling: Ruling) -> dict[str, int]:
    if ruling.otherwise is None:
        return {ruling.stage.value: EVERYBODY}
    return dict(Counter(ruling.for_share(share).stage.value for share in range(EVERYBODY)))


def _stage_changes(before: Claim, after: Claim) -> Iterator[Change]:
    """Compare rung by rung, so that a percentage that moves callers both ways is both."""
    if before.shares == after.shares:
        return
    text = f"stage {shares_in_words(before.shares)} -> {shares_in_words(after.shares)}"
    rungs = [(before.at_least(stage.value), after.at_least(stage.value)) for stage in LADDER]
    if any(now < then for then, now in rungs):
        yield Change(kind="weakened", what=text)
    elif any(now > then for then, now in rungs):
        yield Change(kind="strengthened", what=text)


def _alternatives(what: str, before: frozenset[str], after: frozenset[str]) -> Iterator[Change]:
    """Compare sets of which one member is enough, and of which the empty one asks for nothing."""
    if before == after:
        return
    if before and not after:
        yield Change(kind="weakened", what=f"{what} {_listed(before)} no longer asked for")
    elif not before:
        yield Change(kind="strengthened", what=f"{what} {_listed(after)} asked for")
    else:
        if added := after - before:
            yield Change(kind="weakened", what=f"{what} {_listed(added)} added to those that will do")
        if dropped := before - after:
            yield Change(kind="strengthened", what=f"{what} {_listed(dropped)} will no longer do")


def _conjunction(what: str, before: frozenset[str], after: frozenset[str]) -> Iterator[Change]:
    """Compare sets all members of which are asked for."""
    if dropped := before - after:
        yield Change(kind="weakened", what=f"{what} {_listed(dropped)} no longer asked for")
    if added := after - before:
        yield Change(kind="strengthened", what=f"{what} {_listed(added)} asked for")


def _own_checks(before: Claim, after: Claim) -> Iterator[Change]:
    """Compare the host's own checks: one may go only where ours asks every caller in its place."""
    if before.checks is None or after.checks is None:
        return
    if dropped := before.checks - after.checks:
        kind: Kind = "replaced" if after.known_only else "weakened"
        yield Change(kind=kind, what=f"the application's own check {_listed(dropped)} is gone")
    if added := after.checks - before.checks:
        yield Change(kind="strengthened", what=f"the application's own check {_listed(added)} asked for")


def _freshness(before: int | None, after: int | None) -> Iterator[Change]:
    if before == after:
        return
    weaker = after is None or (before is not None and after > before)
    yield Change(kind="weakened" if weaker else "strengthened", what=f"sign-in {_age(before)} -> {_age(after)}")


def _statement(before: Claim, after: Claim) -> Iterator[Change]:
    if before.stated and not after.stated:
        yield Change(kind="weakened", what="the rule that named it is gone")


def _age(seconds: int | None) -> str:
    return "of any age" if seconds is None else f"at most {seconds} s old"


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
