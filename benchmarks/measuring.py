"""What a measurement is: values of interleaved rounds, their median and spread, and a goal to hold them against."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Row", "Spread", "interleaved", "per_call", "quantile", "ratios", "skipped", "spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values and the quarter on either side of it."""

    median: float
    p25: float
    p75: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `at_least`: whether more is better. `value` None: skipped, and `note` says why."""

    name: str
    value: Spread | None
    unit: str
    goal: float
    at_least: bool = False
    peer: str = "–"
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the goal; None for a skipped row."""
        if self.value is None:
            return None
        return self.value.median >= self.goal if self.at_least else self.value.median <= self.goal

    def as_json(self) -> dict[str, Any]:
        """Return the row for the result file."""
        return {**asdict(self), "met": self.met}


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of the values lie, interpolated."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> Spread:
    """Return median, p25 and p75."""
    return Spread(statistics.median(values), quantile(values, 0.25), quantile(values, 0.75))


def ratios(values: Sequence[float], bases: Sequence[float]) -> Spread:
    """Return the spread of the ratios taken inside each round."""
    return spread([value / base for value, base in zip(values, bases, strict=True)])


def skipped(name: str, unit: str, goal: float, why: str, *, at_least: bool = False) -> Row:
    """Return a row that could not be measured."""
    return Row(name=name, value=None, unit=unit, goal=goal, at_least=at_least, note=why)


def interleaved(variants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every variant once in each round, in random order; return what each answered, round by round."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            found[name].append(variants[name]())
    return found


def per_call(work: Callable[[], object], seconds: float = 0.05) -> Callable[[], float]:
    """Return a measurement of one call of `work` in microseconds of this thread's CPU, over about `seconds`."""
    times = _enough(work, seconds)

    def measured() -> float:
        gc.disable()
        began = time.thread_time_ns()
        for _ in range(times):
            work()
        took = time.thread_time_ns() - began
        gc.enable()
        return took / times / 1e3

    return measured


def _enough(work: Callable[[], object], seconds: float) -> int:
    times = 1
    while True:
        began = time.thread_time_ns()
        for _ in range(times):
            work()
        took = (time.thread_time_ns() - began) / 1e9
        if took > seconds / 4:
            return max(1, int(times * seconds / took))
        times *= 4
