"""Signed-in devices, and the refresh tokens that keep them so.

Threat: a stolen refresh token used beside the owner's; an honest client logged out by a lost answer or a second tab.
Source: RFC 9700 section 4.14; RFC 6749 section 6; design section 4.

The token of generation g carries a keyed MAC over (session, g) and is stored nowhere. Using it raises the
generation by one guarded statement. Its successor can be computed again, so that a repeat within the grace period
gets the same answer; a repeat afterwards means that two parties hold the token, and the session ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update

from rimlock.core.database import Transition
from rimlock.core.errors import CredentialExpired, CredentialInvalid, Unavailable
from rimlock.core.events import Event, Told
from rimlock.core.ids import new_id
from rimlock.core.revocations import announce, hold
from rimlock.core.schema import account as accounts
from rimlock.core.schema import session as table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock.core.database import Database, Transaction

__all__ = [
    "Device",
    "EndReason",
    "Lifetimes",
    "RefreshReused",
    "Refreshed",
    "Session",
    "SessionEnded",
    "SessionStarted",
    "end",
    "end_all",
    "forget_ended",
    "issue",
    "lives",
    "living",
    "refresh",
]

EndReason = Literal[
    "logout", "logout_all", "ended_by_user", "ended_by_admin", "password", "disabled", "deleted", "reuse", "claimed"
]
Transport = Literal["body", "cookie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long a session lives, in seconds. `absolute` is never extended; `idle` starts anew at each refresh.

    `browser` bounds a session that was not to be remembered; `grace` is how long a used refresh token still
    gets its successor.
    """

    absolute: int = 30 * 86400
    idle: int = 14 * 86400
    browser: int = 86400
    grace: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a sign-in tells about where it came from. Shown to the user, never decided upon."""

    transport: Transport = "body"
    remembered: bool = True
    agent: str = ""
    address: str = ""
    notes: str = field(default="", repr=False)
    """What the device presented to be known by (see core.devices)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One signed-in device. Times are seconds since the epoch."""

    id: str
    user_id: str
    generation: int
    created_at: int
    auth_time: int
    methods: str
    refreshed_at: int
    idle_seconds: int
    expires_at: int
    remembered: bool
    transport: str
    device: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a refresh gives: the generation of the successor, and what the next access token has to say."""

    session_id: str
    user_id: str
    generation: int
    auth_time: int
    methods: str
    expires_at: int
    remembered: bool
    transport: str
    roles: frozenset[str]
    epoch: int
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """Somebody signed in on a device."""

    told = Told(self_made=lambda _: True)
    user_id: str
    session_id: str
    methods: str
    address: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """A session was ended before its time."""

    told = Told(self_made=lambda event: event.reason == "logout")
    user_id: str
    session_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshReused(Event):
    """A refresh token was used again after its grace: two parties hold it. The session is ended."""

    told = Told(outcome="refused")
    user_id: str
    session_id: str
    generation: int


def issue(
    tx: Transaction,
    user_id: str,
    *,
    methods: Sequence[str],
    device: Device,
    lifetimes: Lifetimes,
    now: int,
    auth_time: int | None = None,
) -> Session:
    """Start a session. Only the door (`core.login.complete`) may call this. `auth_time`: now, unless given."""
    absolute = lifetimes.absolute if device.remembered else min(lifetimes.browser, lifetimes.absolute)
    session = Session(
        id=new_id(now),
        user_id=user_id,
        generation=0,
        created_at=now,
        auth_time=now if auth_time is None else min(auth_time, now),
        methods=" ".join(methods),
        refreshed_at=now,
        idle_seconds=min(lifetimes.idle, absolute),
        expires_at=now + absolute,
        remembered=device.remembered,
        transport=device.transport,
        device=_printable(device.agent, 200),
        address=_printable(device.address, 45),
    )
    tx.change(insert(table), {name: getattr(session, name) for name in Session.__dataclass_fields__})
    tx.emit(_started(session, now))
    return session


async def refresh(database: Database, session_id: str, generation: int, *, grace: int, now: int) -> Refreshed:
    """Use a refresh token of this generation once. Raises CredentialInvalid, CredentialExpired, Unavailable.

    The first of any number of simultaneous users wins by one statement; the others are answered as it was, for as
    long as `grace` seconds. After that the session ends.
    """
    row = await database.transition(ADVANCE, {"id": session_id, "generation": generation, "now": now})
    if row is not None:
        return await _as_the_host_has_it(database, _refreshed(session_id, row), now=now)
    outcome = await database.write(lambda tx: _repeat(tx, session_id, generation, grace=grace, now=now))
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _as_the_host_has_it(database: Database, refreshed: Refreshed, *, now: int) -> Refreshed:
    """Ask the host's own table, where the users are in one, what it says of this user now. Raises CredentialInvalid."""
    host = database.host
    if host is None:
        return refreshed

    def ask(tx: Transaction) -> Refreshed | None:
        account = host.standing(tx, refreshed.user_id, held=True)
        if account is None:
            end(tx, refreshed.session_id, reason="deleted", now=now)
        state = tx.one(_STATE, {"id": refreshed.session_id})
        if account is None or not account.active or state is None or state["ended_at"] is not None:
            return None
        return replace(refreshed, roles=account.roles, epoch=account.epoch)

    asked = await database.write(ask)
    if asked is None:
        raise CredentialInvalid("The session has ended.")
    return asked


def end(tx: Transaction, session_id: str, *, reason: EndReason, now: int, user_id: str | None = None) -> bool:
    """End a session (only if it is `user_id`'s, when given). False when it was not living. Never ends one twice."""
    hold(tx)
    guard = [table.c.id == session_id, table.c.ended_at.is_(None)]
    if user_id is not None:
        guard.append(table.c.user_id == user_id)
    owner = tx.one(update(table).where(*guard).values(ended_at=now, end_reason=reason).returning(table.c.user_id))
    if owner is None:
        return False
    announce(tx, "session", session_id, now=now)
    tx.emit(SessionEnded(at=now, user_id=owner["user_id"], session_id=session_id, reason=reason))
    return True


def end_all(tx: Transaction, user_id: str, *, reason: EndReason, now: int, but: str | None = None) -> int:
    """End every session of a user, except `but`; return how many."""
    hold(tx)
    query = select(table.c.id).where(table.c.user_id == user_id, table.c.ended_at.is_(None))
    ids = [row["id"] for row in tx.all(query) if row["id"] != but]
    return sum(end(tx, session_id, reason=reason, now=now) for session_id in ids)


def living(tx: Transaction, user_id: str, *, now: int, after: str | None = None, limit: int = 100) -> list[Session]:
    """Return the user's sessions that can still be refreshed, newest sign-in last."""
    query = (
        select(table)
        .where(table.c.user_id == user_id, table.c.ended_at.is_(None), table.c.expires_at > now)
        .where(table.c.refreshed_at + table.c.idle_seconds > now)
        .order_by(table.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(table.c.id > after)
    return [Session(**{name: row[name] for name in Session.__dataclass_fields__}) for row in tx.all(query)]


def lives(tx: Transaction, session_id: str, user_id: str, *, now: int) -> bool:
    """Say whether a session of a user can still be refreshed."""
    row = tx.one(select(table).where(table.c.id == session_id, table.c.user_id == user_id))
    if row is None or row["ended_at"] is not None:
        return False
    return bool(row["expires_at"] > now and row["refreshed_at"] + row["idle_seconds"] > now)


def forget_ended(tx: Transaction, *, before: int) -> int:
    """Delete the rows of sessions that ended or expired before the given moment; return how many."""
    return tx.change(delete(table).where(or_(table.c.expires_at < before, and_(table.c.ended_at < before))))


def _repeat(
    tx: Transaction, session_id: str, generation: int, *, grace: int, now: int
) -> Refreshed | CredentialInvalid | Unavailable:
    """Judge a token that did not move its session: an honest repeat, a theft, or nothing of ours.

    The refusal is returned, not raised, so that the end of a stolen session is committed with it.
    """
    row = tx.one(_STATE, {"id": session_id})
    if row is None or row["ended_at"] is not None or not row["active"] or generation > row["generation"]:
        return CredentialInvalid("The session has ended.")
    if row["expires_at"] <= now or row["refreshed_at"] + row["idle_seconds"] <= now:
        return CredentialExpired("The session has expired.")
    if generation == row["generation"]:
        return Unavailable()  # it fits now and did not a moment ago, as when the account is enabled in between
    if generation == row["generation"] - 1 and now <= row["refreshed_at"] + grace:
        return _as_before(session_id, row)
    end(tx, session_id, reason="reuse", now=now)
    tx.emit(RefreshReused(at=now, user_id=row["user_id"], session_id=session_id, generation=generation))
    return CredentialInvalid("The session has ended.")


def _as_before(session_id: str, row: Any) -> Refreshed:
    values = {name: row[name] for name in _RETURNED}
    return Refreshed(session_id=session_id, repeated=True, **{**values, "roles": frozenset(row["roles"])})


def _refreshed(session_id: str, row: tuple[Any, ...]) -> Refreshed:
    from json import loads

    values = dict(zip(_RETURNED, row, strict=True))
    roles = values["roles"]
    names = loads(roles) if isinstance(roles, str) else roles
    return Refreshed(
        session_id=session_id, **{**values, "roles": frozenset(names), "remembered": bool(values["remembered"])}
    )


def _started(session: Session, now: int) -> SessionStarted:
    return SessionStarted(
        at=now,
        user_id=session.user_id,
        session_id=session.id,
        methods=session.methods,
        address=session.address,
        device=session.device,
    )


def _printable(text: str, longest: int) -> str:
    return "".join(sign for sign in text if sign.isprintable())[:longest]


_RETURNED = ("user_id", "generation", "auth_time", "methods", "expires_at", "remembered", "transport", "roles", "epoch")

ADVANCE = Transition(
    sqlite="""
UPDATE auth_session SET generation = generation + 1, refreshed_at = :now
WHERE id = :id AND generation = :generation AND ended_at IS NULL
  AND expires_at > :now AND refreshed_at + idle_seconds > :now
  AND EXISTS (SELECT 1 FROM auth_account a WHERE a.user_id = auth_session.user_id AND a.active)
RETURNING user_id, generation, auth_time, methods, expires_at, remembered, transport,
  (SELECT roles FROM auth_account a WHERE a.user_id = auth_session.user_id),
  (SELECT epoch FROM auth_account a WHERE a.user_id = auth_session.user_id)
""",
    postgres="""
UPDATE auth_session s SET generation = s.generation + 1, refreshed_at = :now
FROM auth_account a
WHERE s.id = :id AND s.generation = :generation AND s.ended_at IS NULL
  AND s.expires_at > :now AND s.refreshed_at + s.idle_seconds > :now
  AND a.user_id = s.user_id AND a.active
RETURNING s.user_id, s.generation, s.auth_time, s.methods, s.expires_at, s.remembered, s.transport, a.roles, a.epoch
""",
)

_STATE = (
    select(table, accounts.c.active, accounts.c.roles, accounts.c.epoch)
    .join(accounts, accounts.c.user_id == table.c.user_id)
    .where(table.c.id == bindparam("id"))
)
