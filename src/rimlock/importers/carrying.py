"""Writes one batch: everybody in it with all that is theirs, or nobody, in one transaction.

Threat: a person without their roles, an identity without its person, after a crash; a row of ours overwritten.
Source: OWASP ASVS 5.0 V2.3.3 (all or nothing).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, update

from rimlock.core import keys, schema
from rimlock.core.identities import IdentityLinked
from rimlock.core.ids import new_id
from rimlock.core.registering import UserRegistered
from rimlock.core.revocations import announce, hold
from rimlock.importers.events import ImportLinked, ImportUpdated
from rimlock.importers.judging import Verdict, judge, stored_account, stored_user
from rimlock.importers.records import Unfit
from rimlock.importers.standing import Here, look_around

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock.core.database import Transaction
    from rimlock.importers.fitting import Choice, Fit
    from rimlock.importers.records import Elsewhere

__all__ = ["LOCK", "Carried", "carry", "key_source", "part_of", "piece_id"]

LOCK = "rimlock-import"
LONGEST_KEY_SOURCE = 32
Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Carried:
    """What became of a batch."""

    acts: Counter[str] = field(default_factory=Counter)
    refused: list[Unfit] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    hashes: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    belongings: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Batch:
    """The rows a batch is going to write, collected so that each table is written once."""

    tx: Transaction
    choice: Choice
    here: Here
    now: int
    carried: Carried = field(default_factory=Carried)
    rows: dict[str, Rows] = field(default_factory=dict)
    keys: list[tuple[keys.NewKey, str, str]] = field(default_factory=list)

    def put(self, table: str, row: dict[str, Any]) -> None:
        self.rows.setdefault(table, []).append(row)

    def note(self, one: Fit, *notes: str) -> None:
        self.carried.notes += [(one.row, note) for note in notes]


def carry(tx: Transaction, fits: Sequence[Fit], choice: Choice, *, now: int, apply: bool) -> Carried:
    """Judge everybody in the batch, and with `apply` write what was judged."""
    if apply:
        _hold(tx)
    batch = _Batch(tx, choice, look_around(tx, fits, choice), now)
    for one in fits:
        _take(batch, one, judge(one, batch.here, choice), apply=apply)
    if apply:
        _write(batch)
    return batch.carried


def part_of(source: str, part: str) -> str:
    """Return under which name a belonging of a linked account is written down."""
    return f"{source}/{part}"


def piece_id(issuer: str, subject: str) -> str:
    """Return under which id an identity is written down."""
    return sha256(f"{issuer}\n{subject}".encode()).hexdigest()


def key_source(source: str) -> str:
    """Return what the keys of a source are marked with."""
    return f"imported:{source}"[:LONGEST_KEY_SOURCE]


def _hold(tx: Transaction) -> None:
    """Be the only import. The journal comes first, as everywhere."""
    hold(tx)
    tx.lock(LOCK)


def _take(batch: _Batch, one: Fit, verdict: Verdict, *, apply: bool) -> None:
    carried = batch.carried
    carried.acts[verdict.act] += 1
    if verdict.act == "refused":
        carried.refused.append(Unfit(one.row, verdict.reason))
    elif verdict.act == "new":
        _open(batch, one)
    elif verdict.act == "linked":
        _link(batch, one, verdict.user_id)
    elif verdict.act == "changed":
        _count(batch, one)
        if apply:
            _follow(batch, one, verdict)


def _count(batch: _Batch, one: Fit) -> None:
    batch.note(one, *one.notes)
    batch.carried.hashes[one.kind] += 1
    batch.carried.unmapped.update(one.unmapped)


def _open(batch: _Batch, one: Fit) -> None:
    """Make an account with all that belongs to it."""
    _count(batch, one)
    now = batch.now
    user_id = one.row if batch.choice.keep_ids else new_id(now)
    created = min(one.record.created_at if one.record.created_at is not None else now, now)
    batch.put("user", {"id": user_id, **stored_user(one), "created_at": created, "updated_at": now})
    account = {"user_id": user_id, **stored_account(one), "created_at": now}
    batch.put("account", account | {"password_changed_at": now if one.password_hash else None})
    _remember(batch, one.row, user_id, made=True)
    batch.here.emails[one.email_key] = batch.here.usernames[one.username_key or ""] = user_id
    batch.here.brought.add(user_id)
    batch.tx.emit(UserRegistered(at=now, user_id=user_id, by="import", roles=one.roles))
    for held in one.identities:
        _identify(batch, one, user_id, held)
    _bill(batch, one, user_id)
    _admit(batch, one, user_id)


def _link(batch: _Batch, one: Fit, user_id: str) -> None:
    """Let a row lead to an account that was here before. Of its logins only proven ones come along, never a hash."""
    batch.carried.unmapped.update(one.unmapped)
    _remember(batch, one.row, user_id, made=False)
    batch.here.brought.add(user_id)
    batch.tx.emit(ImportLinked(at=batch.now, user_id=user_id, source=batch.choice.source))
    for held in one.identities:
        if held.verified and _identify(batch, one, user_id, held):
            _remember(batch, piece_id(held.issuer, held.subject), user_id, made=True, part="identity")
    if user_id not in batch.here.subscribed and _bill(batch, one, user_id):
        _remember(batch, one.row, user_id, made=True, part="subscription")


def _follow(batch: _Batch, one: Fit, verdict: Verdict) -> None:
    """Bring along an account that nobody has used here. It stays recognisable as such."""
    tx, user_id, now = batch.tx, verdict.user_id, batch.now
    users, accounts, imports = schema.user, schema.account, schema.imported
    tx.change(update(users).where(users.c.id == user_id).values(**stored_user(one), updated_at=now))
    tx.change(update(accounts).where(accounts.c.user_id == user_id).values(**stored_account(one)))
    tx.change(update(imports).where(imports.c.user_id == user_id, imports.c.made).values(at=now))
    announce(tx, "user", user_id, value=batch.here.accounts[user_id]["epoch"], now=now)
    batch.here.emails[one.email_key] = user_id
    tx.emit(ImportUpdated(at=now, user_id=user_id, source=batch.choice.source, changed=verdict.changed))


def _remember(batch: _Batch, row: str, user_id: str, *, made: bool, part: str = "") -> None:
    source = part_of(batch.choice.source, part) if part else batch.choice.source
    batch.put("imported", {"source": source, "source_id": row, "user_id": user_id, "made": made, "at": batch.now})


def _identify(batch: _Batch, one: Fit, user_id: str, held: Elsewhere) -> bool:
    """Let a login elsewhere lead to the account, unless it leads to one already."""
    pair = (held.issuer, held.subject)
    if pair in batch.here.identities:
        batch.note(one, *(["identity_known_here"] if batch.here.identities[pair] != user_id else []))
        return False
    batch.here.identities[pair] = user_id
    row = {"issuer": held.issuer, "subject": held.subject, "user_id": user_id, "provider": held.provider}
    batch.put("identity", row | {"email": held.email, "verified": held.verified, "created_at": batch.now})
    batch.carried.belongings["identities"] += 1
    batch.tx.emit(IdentityLinked(at=batch.now, user_id=user_id, provider=held.provider, issuer=held.issuer))
    return True


def _bill(batch: _Batch, one: Fit, user_id: str) -> bool:
    """Write down the subscription as it stands, unless its customer is somebody else here."""
    billing = one.record.billing
    if billing is None:
        return False
    row = {name: getattr(billing, name) for name in billing.__dataclass_fields__}
    if billing.customer_id is not None and batch.here.customers.setdefault(billing.customer_id, user_id) != user_id:
        batch.note(one, "customer_known_here")
        return False
    batch.put("subscription", {**row, "user_id": user_id, "updated_at": batch.now})
    batch.carried.belongings["subscriptions"] += 1
    return True


def _admit(batch: _Batch, one: Fit, user_id: str) -> None:
    source = key_source(batch.choice.source)
    for held in one.keys:
        if held.digest in batch.here.digests:
            batch.note(one, "key_known_here")
            continue
        batch.here.digests.add(held.digest)
        new = keys.NewKey(
            name=held.name, user_id=user_id, scopes=held.scopes, expires_at=held.expires_at, source=source
        )
        batch.keys.append((new, held.digest, held.hint))
        batch.carried.belongings["keys"] += 1


def _write(batch: _Batch) -> None:
    tables = {
        "user": schema.user,
        "account": schema.account,
        "imported": schema.imported,
        "identity": schema.identity,
        "subscription": schema.subscription,
    }
    for name, table in tables.items():
        if rows := batch.rows.get(name):
            batch.tx.change(insert(table), rows)
    for new, digest, shown in batch.keys:
        keys.admit(batch.tx, new, digest=digest, shown=shown, now=batch.now)
