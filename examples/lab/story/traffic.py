"""People who go on working while something else happens."""

from __future__ import annotations

from collections import Counter
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from story.callers import Answer, Desktop, Script

PAUSE = 0.02


class Traffic:
    """A desktop that records, and a program that reads, until the block is over."""

    def __init__(self, desktop: Desktop, script: Script) -> None:
        """Have nothing sent yet."""
        works = (
            desktop.record,
            lambda: desktop.get("/api/v1/analyses?limit=5"),
            lambda: script.get("/analyses?limit=5"),
        )
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self._over = Event()
        self._threads = [Thread(target=self._go_on, args=(work,)) for work in works]

    @property
    def recorded(self) -> int:
        """How many results were recorded."""
        return self.statuses[201]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the last answers."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, work: Callable[[], Answer]) -> None:
        while not self._over.wait(PAUSE):
            began = monotonic()
            try:
                self.statuses[work().status] += 1
            except OSError:
                self.statuses[0] += 1
            self.slowest = max(self.slowest, monotonic() - began)
