"""Every route of an application: what is in force, who says so, where its code is, what the code itself asks for.

Threat: a route nobody knows of; two functions behind one address, and the one that is read is not the one that runs.
Source: design section 5; OWASP ASVS 5.0 V8.1.1 (rules are documented), V13.1.1 (interfaces are known).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimlock.core.access import Requirement, Ruling, Stage
from rimlock.retrofit.audit.inside import Inside, inside_of
from rimlock.retrofit.audit.origins import Origins
from rimlock.retrofit.audit.places import Place, place_of
from rimlock.retrofit.audit.samples import scope_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rimlock import Rimlock
    from rimlock.retrofit.audit.callers import Caller
    from rimlock.web.routing import RouteTable, Target

__all__ = ["AuditedRoute", "Inventory", "take_inventory"]

OURS = "Rimlock"
"""Where the rules of our own routes come from: they carry them."""

_ALWAYS_ELSEWHERE = {"MOUNT", "FRONTEND", "ANY"}
"""What takes whatever nothing before it took: being passed over is its nature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRoute:
    """One route. `ruling`: what is in force; `configured`: the same without changes made at run time.

    `ours`: it is a route of Rimlock's. `shadowed_by`: the route that answers in its place. `target`, `declared`: as the
    gate and the framework know it.
    """

    target: Target
    declared: Any
    ours: bool
    ruling: Ruling
    configured: Ruling
    stage_origin: str
    demand_origin: str
    place: Place
    inside: Inside
    shadowed_by: str | None = None
    callers: Sequence[Caller] = ()

    @property
    def method(self) -> str:
        """The method, or ANY, WS, MOUNT, FRONTEND."""
        return self.target.method

    @property
    def path(self) -> str:
        """The full template."""
        return self.target.path

    @property
    def name(self) -> str:
        """Method and template, as a rule would name it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All routes in match order, those of the host before ours."""

    default: Stage
    routes: Sequence[AuditedRoute]

    @property
    def hosts(self) -> list[AuditedRoute]:
        """The routes of the host."""
        return [route for route in self.routes if not route.ours]


def take_inventory(auth: Rimlock, callers: Mapping[tuple[str, str], Sequence[Caller]] | None = None) -> Inventory:
    """List the routes of the application `auth` is installed on. `callers`: who was seen, by method and path.

    Nothing is run and nothing is asked of the database. Raises ConfigurationError before `install`.
    """
    rules = auth.judge.rules
    origins = Origins(rules, auth.settings.config)
    configured = rules.with_running(())
    table = auth.gate.table
    routes: list[AuditedRoute] = []
    for target, declared, shadowed_by in _with_shadows(table):
        ruling = rules.ruling(*target.key)
        routes.append(
            AuditedRoute(
                target=target,
                declared=declared,
                ours=False,
                ruling=ruling,
                configured=configured.ruling(*target.key),
                stage_origin=origins.of_stage(*target.key),
                demand_origin=origins.of_demand(*target.key),
                place=place_of(target.endpoint),
                inside=inside_of(declared),
                shadowed_by=shadowed_by,
                callers=(callers or {}).get(target.key, ()),
            )
        )
    return Inventory(default=rules.default, routes=[*routes, *_own(auth)])


def _own(auth: Rimlock) -> Iterator[AuditedRoute]:
    """Yield our own routes, with what their dependencies demand as the claim."""
    from rimlock.web.routing import Target

    declared_by = [(own.prefix, *one) for own in auth.gate.owns if own.table for one in own.table.declared()]
    for prefix, target, declared in declared_by:
        inside = inside_of(declared)
        ruling = _carried(inside)
        yield AuditedRoute(
            target=Target(target.method, prefix + target.path, target.endpoint),
            declared=declared,
            ours=True,
            ruling=ruling,
            configured=ruling,
            stage_origin=OURS,
            demand_origin=OURS,
            place=place_of(target.endpoint),
            inside=inside,
        )


def _carried(inside: Inside) -> Ruling:
    return Ruling(
        stage=Stage.REQUIRED if inside.requirements else Stage.OPEN,
        requirement=_together(inside.requirements),
        stage_source=OURS,
        requirement_source=OURS,
        stated=True,
    )


def _together(requirements: Sequence[Requirement]) -> Requirement:
    """Put the requirements of one function into one, for showing; our own functions never ask for roles twice."""
    fresh = [one.fresh for one in requirements if one.fresh is not None]
    return Requirement(
        credentials=next((one.credentials for one in requirements if one.credentials), frozenset()),
        any_role=next((one.any_role for one in requirements if one.any_role), frozenset()),
        permissions=frozenset().union(*(one.permissions for one in requirements)),
        scopes=frozenset().union(*(one.scopes for one in requirements)),
        fresh=min(fresh) if fresh else None,
    )


def _with_shadows(table: RouteTable) -> Iterator[tuple[Target, Any, str | None]]:
    """Yield each route with the one that answers in its place, where there is one."""
    first: dict[tuple[str, str], Target] = {}
    for target, declared in table.declared():
        earlier = first.setdefault(target.key, target)
        if earlier is not target:
            yield target, declared, f"{target.method} {target.path} at {place_of(earlier.endpoint)}"
            continue
        yield target, declared, _taken_by(table, target)


def _taken_by(table: RouteTable, target: Target) -> str | None:
    """Ask the router's own rules where a request for this route goes."""
    if target.method in _ALWAYS_ELSEWHERE:
        return None
    found = table.resolve(scope_for(target))
    if found is None or found.key == target.key:
        return None
    return f"{found.method} {found.path} at {place_of(found.endpoint)}"
