"""Who is meant by a text: our users, found by address, name, shown name or id, through the Users port.

Threat: a row given to the wrong person because two are called alike.
Source: design section 6 (the account table may be the host's); requirement N3.

A text may mean nobody, one person or several; what is done then is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.planfile import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rimlock.core.database import Database, Transaction
    from rimlock.core.users import User, Users
    from rimlock.retrofit.ownership.planfile import Match

__all__ = ["Asked", "People"]

Asked = tuple[str, "tuple[Match, ...]"]
"""A text, and what it may be."""
LONGEST_ID = 64
REMEMBERED = 50_000
PAGE = 1_000


class People:
    """What is known of texts so far. `learn` asks the database, `meant` only remembers and never waits."""

    def __init__(self, database: Database, users: Users, mapping: Mapping[str, str]) -> None:
        """`mapping` says by a login who is meant by a text, before anything is looked up."""
        self._database, self._users, self._logins = database, users, mapping
        self._mapped: dict[str, str] | None = None
        self._known: dict[Asked, frozenset[str]] = {}
        self._shown: dict[str, set[str]] | None = None

    def meant(self, asked: Asked) -> frozenset[str] | None:
        """Return the ids of those who may be meant, or None when it was not learned yet."""
        return self._known.get(asked)

    async def learn(self, asked: Iterable[Asked]) -> None:
        """Find out about texts. Raises Unavailable; ConfigurationError for a mapping to nobody."""
        wanted = list(asked)
        if len(self._known) > REMEMBERED:
            self._known.clear()
        if self._mapped is None:
            self._mapped = {text: await self.one(login) for text, login in self._logins.items()}
        if self._shown is None and any("display" in match for _, match in wanted):
            self._shown = await self._shown_names()
        self._known |= await self._database.read(lambda tx: {one: self._find(tx, *one) for one in wanted})

    async def one(self, login: str) -> str:
        """Return the id of the account with this login or id. Raises ConfigurationError when there is none."""
        found = await self._database.read(lambda tx: self._users.find(tx, login) or self._users.get(tx, login))
        if found is None:
            raise ConfigurationError(f"the plan names {login!r}, and no account has that login or id")
        return found.id

    async def missing(self, ids: Iterable[str]) -> list[str]:
        """Return those ids that no account has."""
        wanted = sorted(set(ids))
        return await self._database.read(lambda tx: [one for one in wanted if self._users.get(tx, one) is None])

    def _find(self, tx: Transaction, text: str, match: tuple[Match, ...]) -> frozenset[str]:
        if (mapped := (self._mapped or {}).get(text)) is not None:
            return frozenset({mapped})
        found: set[str] = set()
        for way in match:
            if way == "display":
                found |= (self._shown or {}).get(text.casefold(), set())
            elif user := self._by(tx, text, way):
                found.add(user.id)
        return frozenset(found)

    def _by(self, tx: Transaction, text: str, way: Match) -> User | None:
        if way == "id":
            return self._users.get(tx, text) if len(text) <= LONGEST_ID else None
        return self._users.find(tx, text) if ("@" in text) == (way == "email") else None

    async def _shown_names(self) -> dict[str, set[str]]:
        """Read every shown name once: there is no index over them, and several people may bear the same."""
        shown: dict[str, set[str]] = {}
        after: str | None = None
        while page := await self._database.read(lambda tx, after=after: self._users.page(tx, after=after, limit=PAGE)):  # type: ignore[misc]  # bound here
            for user in page:
                shown.setdefault(user.display_name.strip().casefold(), set()).add(user.id)
            after = page[-1].id
        shown.pop("", None)
        return shown


async def defaults(people: People, logins: Iterable[str], system: str) -> dict[str, str]:
    """Return the id behind each default of the plan. Raises ConfigurationError."""
    return {login: system if login == SYSTEM else await people.one(login) for login in sorted(set(logins))}
