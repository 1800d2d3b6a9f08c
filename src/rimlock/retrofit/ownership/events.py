"""What a retrofit leaves in the audit: who began which step on which tables, and how it ended.

Threat: thousands of rows that were given an owner, and nobody who can be asked why.
Source: OWASP ASVS 5.0 V16.2.1, V16.3.3; requirement L7 (every row accounted for).

A step is told before it changes anything, so that a killed one is on record: it began, and no end follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from rimlock.core.errors import AuthError
from rimlock.core.events import Event, Told
from rimlock.core.ids import new_id
from rimlock.retrofit.ownership.progress import WHOLE

if TYPE_CHECKING:
    from rimlock.retrofit.ownership.retrofitting import Retrofit

__all__ = ["CameTo", "RetrofitStepBegun", "RetrofitStepEnded", "RetrofitStepFailed", "on_record"]

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrofitStepBegun(Event):
    """A step of a retrofit that changes something begins. One that is killed has no other event of its `run`."""

    step: str
    run: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrofitStepEnded(Event):
    """A step of a retrofit came to its end. `left`: rows without an owner.

    `rows`: the owners that `backfill` gave, or that `finish` removed. `done`: false where it has to
    be run again, because rows are left or a migration of the application comes first.
    """

    step: str
    run: str
    tables: tuple[str, ...]
    rows: int
    left: int
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrofitStepFailed(Event):
    """A step of a retrofit was refused or broke off. What it had written in short batches stays written."""

    told = Told(outcome="failed")
    step: str
    run: str
    tables: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CameTo:
    """What a step came to, as it is told."""

    rows: int = 0
    left: int = 0
    done: bool = True


Step = Callable[Concatenate["Retrofit", P], Coroutine[Any, Any, T]]


def on_record(step: str, came_to: Callable[[T], CameTo]) -> Callable[[Step[P, T]], Step[P, T]]:
    """Tell of each run of a step when it begins, and when it has ended. Where that cannot be told it does not begin."""

    def told(function: Step[P, T]) -> Step[P, T]:
        @wraps(function)
        async def run(work: Retrofit, /, *given: P.args, **named: P.kwargs) -> T:
            about: dict[str, Any] = {"step": step, "run": new_id(work.clock()), "tables": await _tables(work, step)}
            await _emit(work, RetrofitStepBegun(at=work.clock(), **about))
            try:
                done = await function(work, *given, **named)
            except Exception as error:
                with suppress(AuthError):  # what went wrong first is what has to be heard
                    await _emit(work, RetrofitStepFailed(at=work.clock(), reason=type(error).__name__, **about))
                raise
            end = came_to(done)
            await _emit(
                work,
                RetrofitStepEnded(at=work.clock(), rows=end.rows, left=end.left, done=end.done, **about),
            )
            return done

        return run

    return told


async def _tables(work: Retrofit, step: str) -> tuple[str, ...]:
    """Return the tables of the plan; of a way back those that were begun, for it goes by them."""
    if step != "rollback":
        return tuple(one.name for one in work.plan.tables)
    return tuple(name for name, line in (await work.standing()).items() if name != WHOLE and "plan" in line.data)


def _emit(work: Retrofit, event: Event) -> Awaitable[None]:
    return work.database.write(lambda tx: tx.emit(event))
