"""The report about keys: who holds each, how far it is on its way out, where it is used, who has to act by when.

Threat: a key that is ended on the day its forgotten user needs it.
Source: requirements L3 and L12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import keys, retiring
from rimlock.core.errors import NotFound
from rimlock.core.retirements import Phase, Retirement, standing
from rimlock.features.retirement.logic.uses import KeyUse, key_uses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.database import Transaction
    from rimlock.core.keys import ApiKey
    from rimlock.core.users import User
    from rimlock.feature import Context

__all__ = ["KeyReport", "report"]

DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReport:
    """What there is to know of one key. Times in seconds since the epoch.

    `said`: what holds of its retirement, of the key itself or of all keys. `phase`: how far it is at this moment.
    `uses`: of the last `days`, the busiest first; with the route they go to and the program they come from; none where
    requests are not `counted`.
    """

    key: ApiKey
    owner: User | None
    said: Retirement | None
    phase: Phase
    uses: tuple[KeyUse, ...]
    days: int
    now: int
    counted: bool

    @property
    def requests(self) -> int:
        """How often it was used."""
        return sum(use.requests for use in self.uses)

    @property
    def act_by(self) -> int | None:
        """When its holders must have another one: its end, or its sunset if that is sooner. None without a date."""
        ends = [self.key.expires_at] if self.key.expires_at is not None else []
        if self.said is not None and self.said.sunset_at is not None:
            ends.append(self.said.sunset_at)
        return min(ends, default=None)

    @property
    def next_window(self) -> int | None:
        """When the next brownout begins."""
        windows = () if self.said is None else self.said.windows
        return min((at for one in windows if (at := one.next(self.now)) is not None), default=None)

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out."""
        return self.phase is not Phase.ACCEPT or self.key.replaced_by is not None


async def report(
    context: Context, *, key_id: str | None = None, days: int = 30, after: str | None = None, limit: int = 1000
) -> list[KeyReport]:
    """Return a report of each key that is not revoked, or of the one named, what waits to be written included.

    `after`, `limit`: those with a greater id, so many at most. Raises NotFound.
    """
    await context.flush()

    def read(tx: Transaction) -> list[KeyReport]:
        found = keys.all_of(tx, after=after, limit=limit) if key_id is None else [_one(tx, key_id)]
        return _reports(tx, context, found, days)

    return await context.database.read(read)


def _reports(tx: Transaction, context: Context, found: list[ApiKey], days: int) -> list[KeyReport]:
    now = context.now()
    said = {entry.target: entry for entry in retiring.in_force(tx, context.retirements.configured)}
    uses = _by_key(key_uses(tx, [key.id for key in found], since=(now - days * DAY) // DAY))
    owners: dict[str, User | None] = {}
    reports = []
    for key in found:
        if key.user_id is not None and key.user_id not in owners:
            owners[key.user_id] = context.users.get(tx, key.user_id)
        entry = said.get(f"key:{key.id}", said.get("kind:key"))
        reports.append(
            KeyReport(
                key=key,
                owner=None if key.user_id is None else owners[key.user_id],
                said=entry,
                phase=Phase.ACCEPT if entry is None else standing(entry, now),
                uses=tuple(uses.get(key.id, ())),
                days=days,
                now=now,
                counted=context.settings.usage,
            )
        )
    return reports


def _one(tx: Transaction, key_id: str) -> ApiKey:
    found = keys.get(tx, key_id)
    if found is None:
        raise NotFound
    return found


def _by_key(uses: Iterable[KeyUse]) -> dict[str, list[KeyUse]]:
    grouped: dict[str, list[KeyUse]] = {}
    for use in uses:
        grouped.setdefault(use.key_id, []).append(use)
    return grouped
