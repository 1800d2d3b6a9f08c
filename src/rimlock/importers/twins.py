"""People of a source who would be one person here: found before anybody is taken over.

Threat: two rows that differ by case or by look alone, of which the first that is read gets the name.
Source: RFC 8265 section 3.3 (case mapping); https://sqlite.org/inmemorydb.html (temporary databases).

Keys are kept as digests in a temporary database of SQLite, which lies on the disk when it grows and is gone afterwards.
"""

from __future__ import annotations

import asyncio
import sqlite3
import unicodedata
from contextlib import closing
from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rimlock.importers.origin import Origin
    from rimlock.importers.records import Name

__all__ = ["Twins", "find_twins"]

MOST_NAMED = 4
Key = tuple[str, str]


class Twins:
    """Names that several rows of a source have."""

    def __init__(self, rows: Mapping[bytes, tuple[str, ...]], salt: bytes) -> None:
        """`rows`: which rows have a name, by its digest."""
        self._rows, self._salt = rows, salt

    def of(self, kind: str, name: str | None, row: str) -> tuple[str, ...]:
        """Return the other rows that have this name, some of them."""
        if not name or not self._rows:
            return ()
        rows = self._rows.get(_digest(self._salt, kind, name), ())
        return tuple(one for one in rows if one != row)

    def repeats(self, row: str) -> bool:
        """Say whether several rows have this id."""
        return bool(self._rows) and _digest(self._salt, "id", row) in self._rows


async def find_twins(origin: Origin) -> Twins:
    """Read all names of the source once."""
    salt = token_bytes(16)
    with closing(sqlite3.connect("", check_same_thread=False)) as kept:
        kept.execute("CREATE TABLE name (digest BLOB NOT NULL, row TEXT NOT NULL)")
        async for page in origin.names():
            await asyncio.to_thread(_keep, kept, salt, page, unique=origin.unique)
        return Twins(await asyncio.to_thread(_several, kept), salt)


def _keep(kept: sqlite3.Connection, salt: bytes, page: Iterable[Name], *, unique: bool) -> None:
    rows = (
        (_digest(salt, kind, name), one.row)
        for one in page
        for kind, name in (("email", one.email), ("username", one.username), ("id", None if unique else one.row))
        if name
    )
    kept.executemany("INSERT INTO name VALUES (?, ?)", rows)


def _several(kept: sqlite3.Connection) -> dict[bytes, tuple[str, ...]]:
    kept.execute("CREATE INDEX by_digest ON name (digest, row)")
    query = "SELECT digest, row FROM name WHERE digest IN (SELECT digest FROM name GROUP BY digest HAVING count(*) > 1)"
    found: dict[bytes, list[str]] = {}
    for digest, row in kept.execute(f"{query} ORDER BY digest, row"):
        rows = found.setdefault(digest, [])
        if len(rows) < MOST_NAMED:
            rows.append(row)
    return {digest: tuple(rows) for digest, rows in found.items()}


def _digest(salt: bytes, kind: str, name: str) -> bytes:
    return blake2b(
        f"{kind}:{name if kind == 'id' else _folded(name)}".encode("utf-8", "replace"), digest_size=16, key=salt
    ).digest()


def _folded(name: str) -> str:
    """Return the name as `core/normal` compares it, or coarser."""
    if name.isascii():
        return name.strip().lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
