"""Stands in for the host's application behind the gate, for the probe's own requests and for no other.

Threat: a probe that runs a function of the host's which changes something, or that is counted as a caller.
Source: web.gate_canary (marked requests); ASGI 3.0.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimlock.web.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from starlette.types import Receive, Scope, Send

    from rimlock import Rimlock

__all__ = ["MARK", "Visit", "stand_in"]

MARK = "rimlock.probe"
"""Where a request of the probe carries its `Visit`, which nothing that comes over the network can."""


@dataclass(slots=True)
class Visit:
    """One request of the probe. `reached`: the gate let it through. `through`: the host is then to answer it."""

    through: bool = False
    reached: bool = False


@contextmanager
def stand_in(auth: Rimlock) -> Iterator[None]:
    """Put a recording stub between gate and host while the block runs; requests without the mark pass it by.

    Meanwhile nothing is counted, and nobody is told of what is refused. What is taken out are parts of the gate, the
    judge and the door, and they are put back: nobody else has a reason to.
    """
    gate, judge, door = auth.gate, auth.judge, auth.door
    refusals = door.refusals
    inner, counting, refused = gate._inner, judge.counting, judge._refused  # noqa: SLF001 - see above

    def recorded(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        visit: Visit | None = scope.get(MARK)
        if visit is None:
            return inner(scope, receive, send)
        visit.reached = True
        return inner(scope, receive, send) if visit.through else _nothing()

    gate._inner = recorded  # noqa: SLF001 - see above
    judge.counting, judge._refused = None, _unsaid  # noqa: SLF001 - see above
    door.refusals = Refusals(_unsaid, auth.context.clock, ())
    try:
        yield
    finally:
        gate._inner, judge.counting, judge._refused = inner, counting, refused  # noqa: SLF001 - see above
        door.refusals = refusals


def _unsaid(*_: Any) -> None:
    return


async def _nothing() -> None:
    return
