"""What users of a host's table may do: the host's columns where it has them, our account beside them for the rest.

Threat: a user whom the host disabled, demoted or deleted and who goes on here; a password that the host replaced and
    that still opens; an account that a new user inherits with the key of a deleted one.
Source: design sections 4 and 6; OWASP ASVS 5.0 V7.4.2, V7.4.3, V8.3.2.

The host's columns are read anew at every sign-in and every change, by `accounts.standing`, so that no way in can forget
it. The account is a copy of them for what asks the account alone: a refresh, a key. It is made when it is first needed,
by one statement that only the first of several callers carries out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, exists, func, select, update

from rimlock.core import keys, sessions
from rimlock.core.accounts import ADMIN, Account
from rimlock.core.events import Event
from rimlock.core.mapped_columns import seconds
from rimlock.core.revocations import announce, hold
from rimlock.core.schema import account as table
from rimlock.core.schema import journal
from rimlock.crypto.passwords.hashes import untagged

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

    from rimlock.core.clock import Clock
    from rimlock.core.database import Transaction
    from rimlock.core.mapped_users import MappedUsers

    Row = Mapping[str, Any] | RowMapping

__all__ = ["NO_PASSWORD", "MappedAccounts", "StandingTakenOver", "leave"]

FLAGS = ("active", "verified", "superuser", "password", "created_at")
NO_PASSWORD = "$2b$12$RimlockHasNoPassword.."
"""By what is known again what we put where the host wants a hash and there is none."""

OWN, COPY = "own:", "copy:"
"""Whether a hash of ours counts whatever the host has, or only as a better form of what the host has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingTakenOver(Event):
    """The application changed, in its own table, what a user may do or signs in with. `what`: which of it."""

    user_id: str
    what: tuple[str, ...]


class MappedAccounts:
    """Standings of the users of one MappedUsers; `accounts` asks it wherever a transaction has one."""

    def __init__(self, users: MappedUsers, clock: Clock) -> None:
        """`clock`: for what has to be ended because the host changed it."""
        self.users, self._clock = users, clock

    def standing(self, tx: Transaction, user_id: str, *, held: bool) -> Account | None:
        """Return the standing as the host has it now. `held`: the account is made or brought up to date as well."""
        host = self.users.row(tx, user_id, FLAGS)
        if host is None:
            return None
        if held:
            self._follow(tx, user_id, host)
        return self._together(user_id, host, tx.one(_OURS_HELD if held else _OURS, {"user": user_id}))

    def standings(self, tx: Transaction, user_ids: Iterable[str]) -> dict[str, Account]:
        """Return the standing of each of these users."""
        ids = list(user_ids)
        ours = {row["user_id"]: row for row in tx.all(select(table).where(table.c.user_id.in_(ids)))}
        hosts = self.users.rows(tx, ids, FLAGS)
        return {user_id: self._together(user_id, host, ours.get(user_id)) for user_id, host in hosts.items()}

    def open(self, tx: Transaction, row: Mapping[str, Any]) -> None:
        """Give a user who was just made a standing. What an earlier user left under this key ends first."""
        user_id = row["user_id"]
        if tx.one(_OURS, {"user": user_id}) is not None:
            leave(tx, user_id, now=row["created_at"])
        made = tx.upsert(table)
        fresh = {name: made.excluded[name] for name in table.columns.keys() if name != "user_id"}  # noqa: SIM118 - a collection of columns
        made = made.on_conflict_do_update(index_elements=[table.c.user_id], set_=fresh)
        tx.change(made, {**row, "password_hash": None, "roles": [], "epoch": _first_epoch(tx, user_id)})
        given = {"roles": row["roles"], "verified": row["verified"]}
        if row["password_hash"] is not None:
            given |= self._kept(row["password_hash"], elsewhere=row["waiting"] or row["must_change_password"])
        tx.change(update(table).where(table.c.user_id == user_id).values(self.put(tx, user_id, given)))

    def put(self, tx: Transaction, user_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Write what the host has columns for into them; return what belongs into the account."""
        host: dict[str, Any] = {role: values[role] for role in ("active", "verified") if role in values}
        if "roles" in values:
            host["superuser"] = ADMIN in values["roles"]
        ours = dict(values)
        if "password" in ours:
            host["password"] = ours.pop("password")
        self.users.write(tx, user_id, host)
        return ours

    def change(self, tx: Transaction, user_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Make the account if there is none yet, and do what `put` does with a change of it."""
        row = self.users.row(tx, user_id, FLAGS)
        if row is None:
            return dict(values)
        self._follow(tx, user_id, row)
        changed = dict(values)
        if changed.get("password_hash") is not None:
            changed |= self._kept(changed["password_hash"], elsewhere=bool(changed.get("must_change_password")))
        return self.put(tx, user_id, changed)

    def better(self, tx: Transaction, user_id: str, old: str, new: str) -> bool:
        """Keep a better form of the same password beside the host's, which is not touched: it may not know the form."""
        account, host = self.standing(tx, user_id, held=False), self.users.row(tx, user_id, FLAGS)
        if account is None or host is None or account.password_hash != old:
            return False
        kept = tx.one(_OURS, {"user": user_id})
        mark = None if kept is None or kept["password_hash"] != old else kept["host_mark"]
        mark = mark or (COPY + _print(host["password"]) if "password" in self.users.columns else None)
        changed = update(table).where(table.c.user_id == user_id).values(password_hash=new, host_mark=mark)
        return tx.change(changed) == 1

    def follow(self, tx: Transaction, user_id: str) -> bool:
        """Take over what the host changed about a user; False when the host has no such user any more."""
        hold(tx)
        row = self.users.row(tx, user_id, FLAGS)
        if row is not None:
            self._follow(tx, user_id, row)
        return row is not None

    def has_admin(self, tx: Transaction) -> bool:
        """Say whether the host has a superuser who may act."""
        return "superuser" in self.users.columns and self.users.anyone(tx, *self._admins())

    def admin_besides(self, user_id: str) -> ColumnElement[bool] | None:
        """Return the condition that the host has another superuser who may act; None when it knows of none."""
        columns = self.users.columns
        if "superuser" not in columns:
            return None
        other = [columns.id != columns.key.value(user_id), *self.users.living(), *self._admins()]
        return exists(select(columns.id).where(*other).correlate(None))

    def _admins(self) -> list[ColumnElement[bool]]:
        columns = self.users.columns
        return [columns["superuser"].is_(True), *([columns["active"].is_(True)] if "active" in columns else [])]

    def _kept(self, password_hash: str, *, elsewhere: bool) -> dict[str, Any]:
        """Return where a new password goes. `elsewhere`: it is none that the host's own login may take."""
        if "password" not in self.users.columns:
            return {"password_hash": password_hash, "host_mark": None}
        if not self.users.write_back:
            return {"password_hash": password_hash, "host_mark": OWN}
        if elsewhere:
            nothing = self.users.placeholder()
            return {"password_hash": password_hash, "host_mark": OWN + _print(nothing), "password": nothing}
        shared = untagged(password_hash)
        return {"password_hash": password_hash, "host_mark": COPY + _print(shared), "password": shared}

    def _follow(self, tx: Transaction, user_id: str, host: RowMapping) -> None:
        """Bring the account up to date with the host's row, made if there is none yet."""
        ours = tx.one(_OURS, {"user": user_id}) or self._adopt(tx, user_id, host)
        wanted = self._wanted(host, ours)
        changed = {name: value for name, value in wanted.items() if ours[name] != value}
        if changed:
            self._take_over(tx, user_id, changed, known=ours["host_mark"] is not None)

    def _take_over(self, tx: Transaction, user_id: str, changed: dict[str, Any], *, known: bool) -> None:
        """Copy what the host changed, and end what rested on how it was. `known`: we had seen the password before."""
        hold(tx)
        now = int(self._clock())
        replaced, disabled = known and "host_mark" in changed, not changed.get("active", True)
        raised = {"epoch": table.c.epoch + 1} if replaced or {"active", "roles"} & set(changed) else {}
        tx.change(update(table).where(table.c.user_id == user_id).values({**changed, **raised}))
        if disabled or replaced:
            sessions.end_all(tx, user_id, reason="disabled" if disabled else "password", now=now)
        epoch = tx.value(select(table.c.epoch).where(table.c.user_id == user_id))
        announce(tx, "user", user_id, value=epoch, now=now)
        what = {*({"password"} if replaced else ()), *({"active", "roles", "verified"} & set(changed))}
        tx.emit(StandingTakenOver(at=now, user_id=user_id, what=tuple(sorted(what))))

    def _adopt(self, tx: Transaction, user_id: str, host: RowMapping) -> RowMapping:
        """Make the account of somebody the host knew before us. The unique key decides a race."""
        row = {"user_id": user_id, "created_at": seconds(host.get("created_at")), "epoch": _first_epoch(tx, user_id)}
        row |= self._wanted(host, {"roles": [], "active": True, "verified": False, "password_hash": None, **_UNMARKED})
        tx.change(tx.upsert(table).on_conflict_do_nothing(), row)
        found = tx.one(_OURS, {"user": user_id})
        assert found is not None  # noqa: S101 - written a line above, or by who was first
        return found

    def _wanted(self, host: Row, ours: Row) -> dict[str, Any]:
        """Return what the account has to say, given what the host says."""
        wanted: dict[str, Any] = {
            "active": self._flag(host, "active", ours["active"]),
            "verified": self._flag(host, "verified", ours["verified"]),
            "roles": sorted(self._roles(host, ours["roles"])),
        }
        if "password" in self.users.columns and ours["host_mark"] not in {OWN, OWN + _print(host["password"])}:
            wanted["host_mark"] = mark = COPY + _print(host["password"])
            wanted["password_hash"] = ours["password_hash"] if ours["host_mark"] == mark else None
            if (ours["host_mark"] or "").startswith(OWN):  # the host put another in place of a temporary one
                wanted |= {"must_change_password": False, "password_expires_at": None}
        return wanted

    def _together(self, user_id: str, host: RowMapping, ours: RowMapping | None) -> Account:
        kept: Row = ours or {**_NOTHING, **_UNMARKED}
        said = {name: kept[name] for name in Account.__dataclass_fields__ if name != "user_id"}
        wanted = self._wanted(host, kept)
        said |= {name: value for name, value in wanted.items() if name in said} | {"roles": frozenset(wanted["roles"])}
        if "password_hash" in wanted:
            said["password_hash"] = wanted["password_hash"] or _usable(host["password"])
        return Account(user_id=user_id, **said)

    def _flag(self, host: Row, role: str, ours: bool) -> bool:  # noqa: FBT001 - a value, not a switch
        return bool(host[role]) if role in self.users.columns else ours

    def _roles(self, host: Row, ours: Iterable[str]) -> set[str]:
        if "superuser" not in self.users.columns:
            return set(ours)
        return (set(ours) - {ADMIN}) | ({ADMIN} if host["superuser"] else set())


def leave(tx: Transaction, user_id: str, *, now: int) -> None:
    """End what an account still lets in whose user is gone: sessions, tokens and keys."""
    hold(tx)
    sessions.end_all(tx, user_id, reason="deleted", now=now)
    keys.revoke_all(tx, user_id, now=now)
    row = tx.one(_OURS, {"user": user_id})
    if row is not None:
        announce(tx, "user", user_id, value=row["epoch"] + 1, now=now)


def _first_epoch(tx: Transaction, user_id: str) -> int:
    """Return the epoch a new account begins with: after that of whoever had this key, which a database may reuse."""
    told = select(func.max(journal.c.value)).where(journal.c.kind == "user", journal.c.subject == user_id)
    return tx.value(told) or 0


def _usable(password_hash: str | None) -> str | None:
    """Return a hash of the host's, None for what only stands where it wants one."""
    return None if not password_hash or password_hash.startswith(NO_PASSWORD) else password_hash


def _print(password_hash: str | None) -> str:
    """Return by what a hash of the host's is known again: eight bytes of its digest, which open nothing."""
    return sha256((password_hash or "").encode()).hexdigest()[:16]


_OURS = select(table).where(table.c.user_id == bindparam("user"))
_OURS_HELD = _OURS.with_for_update(key_share=True)  # SQLite has one writer, and no such clause
_UNMARKED = {"host_mark": None}
_NOTHING: dict[str, Any] = {
    "password_hash": None,
    "roles": [],
    "epoch": 0,
    "active": True,
    "verified": False,
    "must_change_password": False,
    "password_changed_at": None,
    "password_expires_at": None,
    "waiting": False,
    "locale": None,
}
