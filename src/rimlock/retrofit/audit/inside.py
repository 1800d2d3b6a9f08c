"""What a function demands by itself, whatever stage its route is in: found in its tree of dependencies.

Threat: a route listed as open that refuses everybody, or a check inside a function that a change silently drops.
Source: fastapi.dependencies.models.Dependant; design section 7 (the dependencies that are ours).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi.security.base import SecurityBase

from rimlock.core.access import Requirement
from rimlock.retrofit.audit.places import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Inside", "inside_of", "words_of"]

_OURS = "rimlock.web.dependencies"
_DEEPEST = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What one function asks for.

    `requirements`: of our strict dependencies, each of which has to be met. `optional`: it asks who somebody is and
    takes nobody for an answer. `checks`: the host's own checks that read a credential, by themselves or through one
    another. `adopted`: those of them that
    let a principal of ours pass.
    """

    requirements: tuple[Requirement, ...] = ()
    optional: bool = False
    checks: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()

    @property
    def demands(self) -> tuple[str, ...]:
        """The requirements in words, each once."""
        return tuple(dict.fromkeys(word for one in self.requirements for word in words_of(one) or ["signed in"]))


NOTHING = Inside()


def inside_of(declared: Any) -> Inside:
    """Read the dependencies of a route of FastAPI's; nothing is known of any other."""
    dependant = getattr(declared, "dependant", None)
    if dependant is None:
        return NOTHING
    provider = getattr(declared, "dependency_overrides_provider", None)
    overrides: Mapping[Any, Any] = getattr(provider, "dependency_overrides", None) or {}
    calls = list(_calls(dependant))
    checks = {check for way, call in calls if isinstance(call, SecurityBase) and not _is_ours(call) for check in way}
    adopted = {check for check in checks if _is_adopted(overrides.get(check))}
    return Inside(
        requirements=tuple(call.requirement for _, call in calls if _is_strict(call)),
        optional=any(_is_ours(call) and not _is_strict(call) for _, call in calls),
        checks=tuple(sorted(map(name_of, checks))),
        adopted=tuple(sorted(map(name_of, adopted))),
    )


def words_of(requirement: Requirement) -> list[str]:
    """Return what a requirement asks for, a phrase for each part; nothing for one that asks for anybody known."""
    words = [f"role {' or '.join(sorted(requirement.any_role))}"] if requirement.any_role else []
    words += [f"permission {name}" for name in sorted(requirement.permissions)]
    words += [f"scope {name}" for name in sorted(requirement.scopes)]
    if requirement.credentials:
        words.append(f"by {' or '.join(sorted(requirement.credentials))}")
    if requirement.fresh is not None:
        words.append(f"signed in within {requirement.fresh} s")
    return words


def _calls(dependant: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every dependency below, with those that lead to it (none for what the route function asks for itself)."""
    if len(way) > _DEEPEST:
        return
    for one in dependant.dependencies:
        yield way, one.call
        yield from _calls(one, (*way, one.call))
    for scheme in getattr(dependant, "security_requirements", ()):  # FastAPI before 0.121 kept schemes apart
        yield way, scheme.security_scheme


def _is_ours(call: Any) -> bool:
    return type(call).__module__ == _OURS


def _is_strict(call: Any) -> bool:
    return _is_ours(call) and isinstance(getattr(call, "requirement", None), Requirement)


def _is_adopted(override: Callable[..., Any] | None) -> bool:
    """Whether a check was replaced by ours: `auth.adopt` leaves a function with one parameter of our own."""
    signature = getattr(override, "__signature__", None)
    return signature is not None and "rimlock_connection" in signature.parameters
