"""People in a file: one JSON object on each line, read line by line.

Threat: a misspelt member that is silently left out; a line that fills the memory; a number that no float holds.
Source: https://jsonlines.org; RFC 8259.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, ClassVar

from rimlock.core.errors import ConfigurationError
from rimlock.importers.origin import Origin
from rimlock.importers.records import Billing, Elsewhere, Leftover, Name, Record, RowUnfit, Unfit
from rimlock.importers.values import moment_of

__all__ = ["JsonlOrigin"]

LONGEST_LINE = 64 * 1024
NAMES_AT_ONCE = 5_000
_TEXTS = ("email", "username", "display_name", "avatar_url", "password_hash", "locale")
_FLAGS = ("verified", "active", "second_factor")
_IDENTITY = {"provider": str, "issuer": str, "subject": str, "email": str, "verified": bool}
_BILLING_TEXTS, _BILLING_TIMES = (
    ("customer_id", "plan_id", "subscription_id", "status"),
    ("last_renewal", "next_renewal"),
)
_MEMBERS = {*_TEXTS, *_FLAGS, "id", "profile", "roles", "created_at", "identities", "subscription"}


@dataclass(slots=True)
class JsonlOrigin(Origin):
    """One file. A line that is none is refused by its number."""

    unique: ClassVar[bool] = False
    path: Path

    def __post_init__(self) -> None:
        """Refuse what is no file. Raises ConfigurationError."""
        if not self.path.is_file():
            raise ConfigurationError(f"there is no file {str(self.path)!r}")

    async def names(self) -> AsyncIterator[list[Name]]:
        """See Origin.names."""
        async for found in self._pages(NAMES_AT_ONCE):
            yield [Name(one.row, one.email, one.username) for one in found if isinstance(one, Record)]

    async def records(self, size: int) -> AsyncIterator[list[Record | Unfit]]:
        """See Origin.records."""
        async for found in self._pages(size):
            yield found

    async def leftovers(self) -> list[Leftover]:
        """A file holds no tokens of another system."""
        return []

    async def _pages(self, size: int) -> AsyncIterator[list[Record | Unfit]]:
        with self.path.open("rb") as file:
            lines = _lines(file)
            while found := await asyncio.to_thread(lambda: list(islice(lines, size))):
                yield found


def _lines(file: IO[bytes]) -> Iterator[Record | Unfit]:
    number = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            yield Unfit(f"line {number}", "line_too_long")
            _skip(file, raw)
        elif raw.strip():
            yield _read(raw, number)


def _skip(file: IO[bytes], raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(LONGEST_LINE)


def _read(raw: bytes, number: int) -> Record | Unfit:
    try:
        return _record(_object(raw))
    except RowUnfit as unfit:
        return Unfit(f"line {number}", unfit.reason)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise RowUnfit("line_unreadable") from None
    if not isinstance(found, dict):
        raise RowUnfit("line_unreadable")
    if set(found) - _MEMBERS:
        raise RowUnfit("member_unknown")
    return found


def _record(held: dict[str, Any]) -> Record:
    row = held.get("id")
    if isinstance(row, bool) or not isinstance(row, str | int) or not str(row):
        raise RowUnfit("id_missing")
    texts = {name: _is(held, name, str) for name in _TEXTS if held.get(name) is not None}
    flags = {name: _is(held, name, bool) for name in _FLAGS if held.get(name) is not None}
    roles = _is(held, "roles", list) if held.get("roles") is not None else []
    if not all(isinstance(role, str) for role in roles):
        raise RowUnfit("member_unreadable")
    return Record(
        row=str(row),
        **({"email": ""} | texts),
        **flags,
        profile=_is(held, "profile", dict) if held.get("profile") is not None else {},
        roles=frozenset(roles),
        created_at=_moment(held, "created_at"),
        identities=tuple(map(_identity, held.get("identities") or ())),
        billing=_billing(held.get("subscription")),
    )


def _identity(held: Any) -> Elsewhere:
    if not isinstance(held, Mapping) or set(held) - set(_IDENTITY) or not {"provider", "subject"} <= set(held):
        raise RowUnfit("identity_unreadable")
    return Elsewhere(**{name: _is(held, name, _IDENTITY[name]) for name in held})


def _billing(held: Any) -> Billing | None:
    if held is None:
        return None
    if not isinstance(held, Mapping) or set(held) - {*_BILLING_TEXTS, *_BILLING_TIMES}:
        raise RowUnfit("subscription_unreadable")
    texts = {name: _is(held, name, str) for name in _BILLING_TEXTS if held.get(name) is not None}
    last, following = (_moment(held, name) for name in _BILLING_TIMES)
    return Billing(**texts, last_renewal=last, next_renewal=following)


def _moment(held: Mapping[str, Any], name: str) -> int | None:
    found = moment_of(held.get(name))
    if held.get(name) is not None and found is None:
        raise RowUnfit("time_unreadable")
    return found


def _is(held: Mapping[str, Any], name: str, kind: Callable[..., Any]) -> Any:
    value = held[name]
    if not isinstance(value, kind):  # type: ignore[arg-type]
        raise RowUnfit("member_unreadable")
    return value
