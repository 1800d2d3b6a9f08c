"""Accounts from elsewhere: read from the tables of other systems, taken over once, and taken back.

Threat: see the modules; each names its own.
Source: design section 2 (importers).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rimlock.importers.fitting import Choice
from rimlock.importers.importing import Report, bring
from rimlock.importers.jsonl import JsonlOrigin
from rimlock.importers.layouts import LAYOUTS
from rimlock.importers.origin import TableOrigin
from rimlock.importers.probing import Wanted
from rimlock.importers.source import open_source
from rimlock.importers.undoing import Undone, take_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rimlock.importers.origin import Origin

__all__ = ["KINDS", "Choice", "Report", "Undone", "Wanted", "bring", "open_origin", "take_back"]

JSONL = "jsonl"
KINDS = (*LAYOUTS, JSONL)
"""What accounts can be imported from."""


@asynccontextmanager
async def open_origin(kind: str, place: str, wanted: Wanted | None = None) -> AsyncIterator[Origin]:
    """Open a source of one of KINDS: a database address, or for `jsonl` the path of a file.

    Raises ConfigurationError, Unavailable.
    """
    if kind == JSONL:
        yield JsonlOrigin(Path(place))
        return
    async with open_source(place) as source:
        layout = await source.ask(lambda connection: LAYOUTS[kind](connection, wanted or Wanted()))
        yield TableOrigin(source, layout)
