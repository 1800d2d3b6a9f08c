"""What is here already of the people in a batch, and whether anybody used an imported account since.

Threat: an account that was in use, changed or removed by an import that took it for its own.
Source: design section 1.4 (every change can be undone).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, tuple_

from rimlock.core import keys, schema
from rimlock.core.events import name_of
from rimlock.core.identities import IdentityLinked
from rimlock.core.keys import ApiKeyImported
from rimlock.core.registering import UserRegistered
from rimlock.importers.events import ImportLinked, ImportUpdated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction
    from rimlock.importers.fitting import Choice, Fit

__all__ = ["Here", "look_around", "used_since"]

OURS = frozenset(map(name_of, (UserRegistered, ApiKeyImported, IdentityLinked, ImportUpdated, ImportLinked)))
"""What an import itself writes into the audit about somebody."""


@dataclass(slots=True, kw_only=True)
class Here:
    """What is here. It grows with each person of the batch who is taken over."""

    imported: dict[str, RowMapping] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)
    usernames: dict[str, str] = field(default_factory=dict)
    users: dict[str, RowMapping] = field(default_factory=dict)
    accounts: dict[str, RowMapping] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    brought: set[str] = field(default_factory=set)
    """Accounts of the addresses in the batch that this source brought, or leads to."""
    identities: dict[tuple[str, str], str] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)
    subscribed: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)


def look_around(tx: Transaction, fits: Sequence[Fit], choice: Choice) -> Here:
    """Read what is here of these people."""
    here = Here(imported=_imported(tx, fits, choice.source))
    users = schema.user.c
    here.emails = _ids(tx, users.email_key, [one.email_key for one in fits])
    here.usernames = _ids(tx, users.username_key, [one.username_key for one in fits if one.username_key])
    met = {row["user_id"] for row in here.imported.values()} | set(here.emails.values())
    named = {one.row for one in fits} if choice.keep_ids else set()
    here.users = {row["id"]: row for row in _in(tx, schema.user, users.id, met | named)}
    here.accounts = {row["user_id"]: row for row in _in(tx, schema.account, schema.account.c.user_id, met)}
    here.used = used_since(tx, [row for row in here.imported.values() if row["made"] and row["user_id"]], here)
    here.brought = _brought(tx, set(here.emails.values()), choice.source)
    _look_at_belongings(tx, fits, here, met)
    return here


def used_since(tx: Transaction, rows: Collection[RowMapping], here: Here | None = None) -> set[str]:
    """Return whose accounts were changed or used since they were imported: `rows` of the table of imports."""
    ids = [row["user_id"] for row in rows]
    if not ids:
        return set()
    around = here or _met(tx, ids)
    used = {row["user_id"] for row in rows if not _as_made(row, around)}
    used |= _whose(tx, schema.session.c.user_id, ids)
    audit = schema.audit.c
    query = select(audit.subject).distinct().where(audit.subject.in_(ids), audit.outcome == "ok")
    return used | {row["subject"] for row in tx.all(query.where(audit.event.not_in(OURS)))}


def _met(tx: Transaction, ids: list[str]) -> Here:
    users = {row["id"]: row for row in _in(tx, schema.user, schema.user.c.id, ids)}
    accounts = {row["user_id"]: row for row in _in(tx, schema.account, schema.account.c.user_id, ids)}
    return Here(users=users, accounts=accounts)


def _as_made(row: RowMapping, here: Here) -> bool:
    user, account = here.users.get(row["user_id"]), here.accounts.get(row["user_id"])
    return user is not None and account is not None and user["updated_at"] == row["at"] and account["epoch"] == 0


def _imported(tx: Transaction, fits: Iterable[Fit], source: str) -> dict[str, RowMapping]:
    table = schema.imported
    query = select(table).where(table.c.source == source, table.c.source_id.in_([one.row for one in fits]))
    return {row["source_id"]: row for row in tx.all(query)}


def _brought(tx: Transaction, ids: set[str], source: str) -> set[str]:
    table = schema.imported
    query = select(table.c.user_id).where(table.c.source == source, table.c.user_id.in_(list(ids)))
    return {row["user_id"] for row in tx.all(query)} if ids else set()


def _look_at_belongings(tx: Transaction, fits: Iterable[Fit], here: Here, met: set[str]) -> None:
    pairs = [(one.issuer, one.subject) for each in fits for one in each.identities]
    table = schema.identity
    if pairs:
        query = select(table.c.issuer, table.c.subject, table.c.user_id)
        rows = tx.all(query.where(tuple_(table.c.issuer, table.c.subject).in_(pairs)))
        here.identities = {(row["issuer"], row["subject"]): row["user_id"] for row in rows}
    billed = [one.record.billing for one in fits if one.record.billing]
    if billed:
        customers = [one.customer_id for one in billed if one.customer_id]
        columns = schema.subscription.c
        rows = _in(tx, schema.subscription, columns.customer_id, customers)
        here.customers = {row["customer_id"]: row["user_id"] for row in rows}
        here.subscribed = {row["user_id"] for row in _in(tx, schema.subscription, columns.user_id, met)}
    digests = [key.digest for one in fits for key in one.keys]
    here.digests = keys.known_digests(tx, digests) if digests else set()


def _ids(tx: Transaction, column: Any, values: Collection[str]) -> dict[str, str]:
    if not values:
        return {}
    query = select(column.label("name"), schema.user.c.id).where(column.in_(list(values)))
    return {row["name"]: row["id"] for row in tx.all(query)}


def _whose(tx: Transaction, column: Any, ids: list[str]) -> set[str]:
    return {row["user_id"] for row in tx.all(select(column).distinct().where(column.in_(ids)))}


def _in(tx: Transaction, table: Any, column: Any, values: Collection[str]) -> Sequence[RowMapping]:
    return tx.all(select(table).where(column.in_(list(values)))) if values else ()
