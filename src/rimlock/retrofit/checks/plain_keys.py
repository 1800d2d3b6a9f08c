"""Keys, tokens and passwords that stand in the host's tables as they are used.

Threat: a copy of the database, a backup or a SELECT with which everybody's keys can be used.
Source: OWASP ASVS 5.0 V6.5.2, V11.4.2, V14.2.

A few rows of each suspicious column are read, on a connection that cannot write. No value leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError

from rimlock.core.errors import Unavailable
from rimlock.migrations.neighbours import OURS
from rimlock.retrofit.checks.finding import EXPECTED, Finding, Say
from rimlock.retrofit.checks.reading import read_only

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["plain_keys"]

SAMPLE = 40
"""Rows read of one column."""

MOST_COLUMNS = 200
MOST_NAMED = 5
SHORTEST, SHORTEST_PASSWORD, LONGEST = 12, 4, 512

_TELLING = re.compile(
    r"(^|_)(api_?key|access_?key|secret|token|private_?key|passw(or)?d|pwd|passphrase)s?(_?(value|text|plain))?$"
)
_KEY_ITSELF = re.compile(r"(^|_)key$")
_KEY_TABLE = re.compile(r"(api_?)?keys?$|token", re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PASSWORD = re.compile(r"passw|pwd|passphrase", re.IGNORECASE)
_DIGEST = re.compile(
    r"(?P<hex>[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{56}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})"
    r"|[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==|\$[A-Za-z0-9-]+\$.+|\{[A-Z0-9-]+\}.+|[a-z0-9_]+(:[a-z0-9]+)?(:\d+)*\$.+\$.+|gAAAA.+"
)


async def plain_keys(url: str, say: Say, *, named: bool = False) -> list[Finding]:
    """Look through the tables of the database at `url`, ours left out. `named`: somebody says that it is there."""
    try:
        found = await read_only(url, _looked_through)
    except EXPECTED as error:
        why = "keys in clear could not be looked for"
        away = named and isinstance(error, Unavailable)
        text = "the database of --host-database does not answer" if away else say(error)
        mend = f"{'correct' if named else 'name the database with'} --host-database"
        return [Finding("plain keys", "warn", text, why=why, mend=mend)]
    if found is None and named:
        why = "nothing was looked at, so nothing was found"
        return [Finding("plain keys", "warn", "there is no such database", why=why, mend="correct --host-database")]
    suspicions, unread = found or ([], [])
    if not suspicions and not unread:
        return [Finding("plain keys", "ok", "no column of the database seems to hold keys in clear")]
    return [*(_told(name, held, read) for name, held, read in suspicions), *_untold(unread)]


def _told(name: str, held: int, read: int) -> Finding:
    what = "passwords" if _PASSWORD.search(name) else "keys"
    take_over = "hash them and empty the column; `rimlock user` makes accounts with hashed passwords"
    if what == "keys":
        take_over = "take them over with rimlock import keys, then empty the column"
    return Finding(
        f"plain {what}",
        "fail" if what == "passwords" else "warn",
        f"{name}: {held} of {read} values read look like {what} in clear",
        why="whoever gets a copy of the database, a backup of it or one query can use them all",
        mend=take_over,
    )


def _untold(unread: list[str]) -> Iterator[Finding]:
    if unread:
        shown = ", ".join(unread[:MOST_NAMED]) + (
            f" and {len(unread) - MOST_NAMED} more" if len(unread) > MOST_NAMED else ""
        )
        why = "keys in clear could not be looked for there"
        mend = "let the account of --host-database read it, or look by hand"
        yield Finding("plain keys", "warn", f"not read: {shown}", why=why, mend=mend)


def _looked_through(connection: Connection) -> tuple[list[tuple[str, int, int]], list[str]]:
    """Return columns that hold what looks usable (name, how many values look so, how many were read), and the unread.

    Each is tried by itself: one that fails must neither hide the others nor end the transaction.
    """
    columns, unread = _columns(connection)
    found: list[tuple[str, int, int]] = []
    for place, name in columns[:MOST_COLUMNS]:
        try:
            with connection.begin_nested():
                read = _values(connection, place, name)
        except SQLAlchemyError:
            unread.append(f"{place}.{name}")
            continue
        held = sum(_usable(value, password=_PASSWORD.search(name) is not None) for value in read)
        if held:
            found.append((f"{place}.{name}", held, len(read)))
    return found, unread


def _values(connection: Connection, place: str, name: str) -> list[str | bytes]:
    source = table(place, column(name))
    values = connection.execute(select(source.c[name]).where(source.c[name].is_not(None)).limit(SAMPLE)).scalars()
    return [value for value in values if isinstance(value, (str, bytes)) and value]


def _columns(connection: Connection) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the columns whose names are telling, and the tables that do not tell their columns."""
    telling, unread = [], []
    for place in inspect(connection).get_table_names():
        if place in OURS:
            continue
        try:
            with connection.begin_nested():
                names = [str(one["name"]) for one in inspect(connection).get_columns(place)]
        except SQLAlchemyError:
            unread.append(place)
            continue
        telling += [(place, name) for name in names if _is_telling(place, name)]
    return telling, unread


def _is_telling(place: str, name: str) -> bool:
    spelt = _HUMP.sub("_", name).lower()
    return bool(_TELLING.search(spelt) or (_KEY_ITSELF.search(spelt) and _KEY_TABLE.search(place)))


def _usable(value: object, *, password: bool) -> bool:
    """Whether a value could be presented as it stands: text, of some length, and no digest or ciphertext."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not (SHORTEST_PASSWORD if password else SHORTEST) <= len(text) <= LONGEST:
        return False
    return text.isprintable() and _DIGEST.fullmatch(text.strip()) is None and (password or " " not in text.strip())
