"""Takes an import back: exactly the accounts it made, but for those that somebody uses meanwhile.

Threat: an account that somebody uses, removed with all that is theirs; a second run that finds another's account.
Source: design section 1.4 (every change can be undone).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, select

from rimlock.core import identities, schema
from rimlock.core.accounts import ADMIN, LastAdmin
from rimlock.core.registering import remove_user
from rimlock.core.revocations import hold
from rimlock.importers.carrying import LOCK, key_source, part_of, piece_id
from rimlock.importers.events import ImportUndone
from rimlock.importers.importing import MOST_SHOWN, require_name, require_own
from rimlock.importers.standing import used_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction
    from rimlock.feature import Context

__all__ = ["Undone", "take_back"]

BATCH = 100
table = schema.imported
Kept = list[tuple[str, str]]


@dataclass(slots=True, kw_only=True)
class Undone:
    """What was taken back, or without `apply` would be.

    `removed`: accounts the import had made. `unlinked`: rows that led to accounts which were here before. `gone`: rows
    whose account was deleted already. `kept`: accounts that stay, by `why`; `rows` names the first of them.
    """

    source: str
    apply: bool
    removed: int = 0
    unlinked: int = 0
    gone: int = 0
    kept: int = 0
    why: Counter[str] = field(default_factory=Counter)
    rows: Kept = field(default_factory=list)

    def keep(self, kept: Kept) -> None:
        """Count accounts that stay."""
        self.kept += len(kept)
        self.why.update(reason for _, reason in kept)
        self.rows += kept[: MOST_SHOWN - len(self.rows)]


async def take_back(context: Context, source: str, *, apply: bool = False, force: bool = False) -> Undone:
    """Undo the import of a source, batch by batch; killed, it goes on when it is run again.

    `force`: accounts that somebody has used since go too. Raises ConfigurationError, Unavailable.
    """
    require_name(source)
    require_own(context)
    undone, after = Undone(source=source, apply=apply), ""
    while rows := await context.database.read(lambda tx, after=after: _page(tx, source, after)):  # type: ignore[misc]
        after = rows[-1]["source_id"]
        for one in _portions(rows, await context.database.read(lambda tx, rows=rows: _admins(tx, rows))):  # type: ignore[misc]
            await _portion(context, undone, one, force=force)
    if apply:
        done = ImportUndone(at=context.now(), source=source, removed=undone.removed, kept=undone.kept)
        await context.database.write(lambda tx: tx.emit(done))
    return undone


def _portions(rows: Sequence[RowMapping], admins: set[str]) -> list[list[RowMapping]]:
    """Administrators are taken one by one: that the last of them stays must keep nobody else."""
    others = [row for row in rows if row["user_id"] not in admins]
    return [others, *([row] for row in rows if row["user_id"] in admins)]


async def _portion(context: Context, undone: Undone, rows: list[RowMapping], *, force: bool) -> None:
    def work(tx: Transaction) -> tuple[Counter[str], Kept]:
        return _undo(context, tx, undone.source, rows, apply=undone.apply, force=force)

    try:
        counts, kept = await (context.database.write(work) if undone.apply else context.database.read(work))
    except LastAdmin:
        counts, kept = Counter[str](), [(row["source_id"], "last_admin") for row in rows]
    for name in ("removed", "unlinked", "gone"):
        setattr(undone, name, getattr(undone, name) + counts[name])
    undone.keep(kept)


def _undo(
    context: Context, tx: Transaction, source: str, rows: list[RowMapping], *, apply: bool, force: bool
) -> tuple[Counter[str], Kept]:
    if apply:
        hold(tx)
        tx.lock(LOCK)
    made = [row for row in rows if row["made"] and row["user_id"]]
    kept = _kept(tx, source, made, force=force)
    counts: Counter[str] = Counter()
    for row in rows:
        if row["source_id"] in kept:
            continue
        act = "gone" if not row["user_id"] else "removed" if row["made"] else "unlinked"
        counts[act] += 1
        if apply:
            _take_back(context, tx, source, row, act)
    return counts, list(kept.items())


def _kept(tx: Transaction, source: str, made: list[RowMapping], *, force: bool) -> dict[str, str]:
    """Return the rows whose accounts stay, and why: used since, or what another import leads to."""
    shared = _led_to_by_others(tx, source, [row["user_id"] for row in made])
    used = set() if force else used_since(tx, made)
    found = {row["source_id"]: "used_since" for row in made if row["user_id"] in used}
    return found | {row["source_id"]: "another_import" for row in made if row["user_id"] in shared}


def _take_back(context: Context, tx: Transaction, source: str, row: RowMapping, act: str) -> None:
    user_id, now = row["user_id"], context.now()
    if act == "removed":
        remove_user(context.users, tx, user_id, now=now, by="import")
        keys = schema.api_key
        tx.change(delete(keys).where(keys.c.user_id == user_id, keys.c.source == key_source(source)))
    elif act == "unlinked":
        _unlink(tx, source, row["source_id"], user_id, now)
    tx.change(delete(table).where(table.c.source == source, table.c.source_id == row["source_id"]))


def _unlink(tx: Transaction, source: str, row: str, user_id: str, now: int) -> None:
    """Take from an account that was here before what the import had put beside it."""
    pieces = table.c.source == part_of(source, "identity"), table.c.user_id == user_id
    brought = {one["source_id"] for one in tx.all(select(table.c.source_id).where(*pieces))}
    for held in identities.of_user(tx, user_id):
        if piece_id(held.issuer, held.subject) in brought:
            identities.unlink(tx, user_id, held.issuer, held.subject, now=now)
    tx.change(delete(table).where(*pieces))
    billed = table.c.source == part_of(source, "subscription"), table.c.source_id == row
    found = tx.one(select(table.c.at).where(*billed))
    if found is not None:
        subscription = schema.subscription
        untouched = and_(subscription.c.user_id == user_id, subscription.c.updated_at == found["at"])
        tx.change(delete(subscription).where(untouched))
        tx.change(delete(table).where(*billed))


def _page(tx: Transaction, source: str, after: str) -> Sequence[RowMapping]:
    query = select(table).where(table.c.source == source, table.c.source_id > after)
    return tx.all(query.order_by(table.c.source_id).limit(BATCH))


def _admins(tx: Transaction, rows: Sequence[RowMapping]) -> set[str]:
    accounts = schema.account.c
    query = select(accounts.user_id, accounts.roles).where(accounts.user_id.in_([row["user_id"] for row in rows]))
    return {row["user_id"] for row in tx.all(query) if ADMIN in row["roles"]}


def _led_to_by_others(tx: Transaction, source: str, ids: list[str]) -> set[str]:
    query = select(table.c.user_id).distinct().where(table.c.user_id.in_(ids), table.c.source != source)
    return {row["user_id"] for row in tx.all(query)} if ids else set()
