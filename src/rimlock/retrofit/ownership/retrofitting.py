"""What every step works with: the host's database, our accounts, the plan and a clock; and what steps have in common.

Threat: two steps that see another plan or another host.
Source: requirement L7.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from rimlock.migrations.connecting import locate
from rimlock.owning.tables import owner
from rimlock.retrofit.ownership.evidence import Target, span_end, target, unowned
from rimlock.retrofit.ownership.host import open_host
from rimlock.retrofit.ownership.keyset import above, not_above
from rimlock.retrofit.ownership.people import People, defaults
from rimlock.retrofit.ownership.progress import WHOLE, all_standing
from rimlock.retrofit.ownership.surveying import host_tables, require_one_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from rimlock.core.clock import Clock
    from rimlock.core.database import Database
    from rimlock.core.users import Users
    from rimlock.retrofit.ownership.host import Host
    from rimlock.retrofit.ownership.planfile import Plan
    from rimlock.retrofit.ownership.progress import Standing
    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = ["Retrofit", "retrofit_on", "side_rows", "standing", "unowned_rows"]

COUNTED_AT_ONCE = 20_000


def _silent(_: dict[str, Any]) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Retrofit:
    """One installation at work on one host. `database`, `users`: ours. `folder`: for files. `tell`: hears all."""

    host: Host
    address: str
    database: Database
    users: Users
    clock: Clock
    plan: Plan
    folder: Path
    tell: Callable[[dict[str, Any]], None] = _silent

    @property
    def people(self) -> People:
        """Return somebody new to ask about our users."""
        return People(self.database, self.users, self.plan.map)

    async def tables(self) -> dict[str, HostTable]:
        """Return the host's tables as they are now."""
        return await self.host.read(host_tables)

    async def targets(self) -> list[Target]:
        """Return the tables of the plan. Raises ConfigurationError for what is not there or cannot get owners."""
        tables = await self.tables()
        found = [target(tables, one) for one in self.plan.tables]
        for one in found:
            require_one_key(one.host)
        return found

    async def standing(self) -> dict[str, Standing]:
        """Return where everything stands."""
        return await self.host.read(all_standing)

    async def owners(self, people: People, system: str) -> dict[str, str]:
        """Return the id behind each default."""
        return await defaults(people, (table.default for table in self.plan.tables), system)

    def digest(self) -> str:
        """Return what tells this plan from another."""
        return sha256(repr(self.plan).encode()).hexdigest()[:16]


@asynccontextmanager
async def retrofit_on(
    url: str,
    plan: Plan,
    *,
    database: Database,
    users: Users,
    clock: Clock,
    folder: Path,
    tell: Callable[[dict[str, Any]], None] = _silent,
) -> AsyncIterator[Retrofit]:
    """Open the host's database and bring everything together. Raises ConfigurationError, Unavailable."""
    async with open_host(url) as host:
        yield Retrofit(
            host=host,
            address=locate(url).address,
            database=database,
            users=users,
            clock=clock,
            plan=plan,
            folder=folder,
            tell=tell,
        )


async def unowned_rows(host: Host, one: Target) -> int:
    """Count the rows nobody owns, in short reads. Rows without a key are among them."""
    total, after, more = await host.read(lambda on: _keyless(on, one)), None, True
    while more:
        count, end = await host.read(lambda on, start=after: _unowned_part(on, one, start))  # type: ignore[misc]  # bound here
        total, after, more = total + count, end, end is not None
    return total


async def side_rows(host: Host, label: str) -> int:
    """Count the rows of a table that have an owner beside it; none where there is no such table of ours."""
    wanted = select(func.count()).select_from(owner).where(owner.c.table_name == label)

    def work(connection: Any) -> int:
        from sqlalchemy import inspect

        return int(connection.execute(wanted).scalar_one()) if inspect(connection).has_table(owner.name) else 0

    return await host.read(work)


def _keyless(connection: Any, one: Target) -> int:
    wanted = select(func.count()).select_from(one.host.table).where(one.key.is_(None), unowned(one))
    return int(connection.execute(wanted).scalar_one())


def _unowned_part(connection: Any, one: Target, after: str | None) -> tuple[int, str | None]:
    end = span_end(connection, one, after, COUNTED_AT_ONCE)
    wanted = select(func.count()).select_from(one.host.table).where(unowned(one), one.key.is_not(None))
    wanted = wanted.where(above([one.key], after), not_above([one.key], end))
    return int(connection.execute(wanted).scalar_one()), end


async def standing(work: Retrofit) -> list[dict[str, Any]]:
    """Return where every table of the host's stands, as data; nothing where the retrofit never began."""
    found = await work.standing()
    return [_shown(line) for name, line in sorted(found.items()) if name != WHOLE]


def _shown(line: Standing) -> dict[str, Any]:
    data = line.data
    return {
        "table": line.name,
        "phase": line.phase,
        "mode": data.get("plan", {}).get("mode"),
        "rows_before": data["before"]["rows"],
        "given": sum(data.get("by", {}).values()),
        "by": data.get("by", {}),
        "ambiguous": data.get("ambiguous", {}),
        "unmatched": data.get("unmatched", {}),
    }
