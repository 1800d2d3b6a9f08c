"""Invitations: codes that let somebody make an account, by digest, each with a number of seats.

Threat: one seat taken by two in a race; a seat lost to a registration that failed; a code that tells a stranger whether
    it was used, revoked or never there; a role that nobody with the right to gave, or who has it no more.
Source: OWASP ASVS 5.0 V2.3.3, V2.3.4 (locking for what is limited), V6.4.1, V6.5.2; design section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, exists, func, insert, not_, or_, select, update

from rimlock.core.accounts import ADMIN, acts_as
from rimlock.core.errors import AuthError, NotFound
from rimlock.core.events import Event
from rimlock.core.ids import new_id
from rimlock.core.messages import Message
from rimlock.core.normal import email_forms
from rimlock.core.registering import RegistrationClosed
from rimlock.core.schema import account
from rimlock.core.schema import invitation as table
from rimlock.crypto.opaque import digest as digest_of
from rimlock.crypto.readable import canonical, new_readable

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction
    from rimlock.core.messages import Post

__all__ = [
    "MAIL",
    "MOST_SEATS",
    "Invitation",
    "InvitationInvalid",
    "InvitationMade",
    "InvitationRevoked",
    "Invited",
    "issue",
    "mail",
    "page",
    "require_open",
    "revoke",
    "take",
]

MAIL = "invitation"
"""The kind of message by which somebody is invited."""

MOST_SEATS = 10_000
SHOWN = 4


class InvitationInvalid(AuthError):
    """The code is unknown, used up, expired, revoked, for another address, or of an administrator who is none now.

    Which of these is not told.
    """

    code, status, title = "invitation_invalid", 403, "This invitation is not valid."


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """What an invitation is to be. `email`: whom it is for, None for anybody. `expires_at`: seconds since the epoch."""

    seats: int = 1
    roles: frozenset[str] = frozenset()
    email: str | None = None
    note: str = ""
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """One invitation, without its code. `email_key`: the address it is for, in the form addresses are compared in."""

    id: str
    hint: str
    note: str
    email_key: str | None
    roles: frozenset[str]
    seats: int
    used: int
    created_by: str
    created_at: int
    expires_at: int
    revoked_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationMade(Event):
    """Somebody may invite themselves in with a code from now on."""

    invitation_id: str
    seats: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRevoked(Event):
    """An invitation is worth nothing any more. Accounts that were made with it stay."""

    invitation_id: str


def issue(tx: Transaction, wanted: Invited, *, mode: str, now: int) -> tuple[str, Invitation]:
    """Make an invitation; return its code, which can be read nowhere afterwards, and what is kept.

    `mode`: who may register; where nobody may, a code would be worth nothing. Raises RegistrationClosed,
    InvalidRequest.
    """
    if mode == "closed":
        raise RegistrationClosed
    code = new_readable()
    made = Invitation(
        id=new_id(now),
        hint=f"…{code[-SHOWN:]}",
        note=wanted.note,
        email_key=None if wanted.email is None else email_forms(wanted.email)[1],
        roles=wanted.roles,
        seats=wanted.seats,
        used=0,
        created_by=tx.acting.actor,
        created_at=now,
        expires_at=wanted.expires_at,
        revoked_at=None,
    )
    tx.change(insert(table), {**_row(made), "digest": digest_of(code)})
    tx.emit(InvitationMade(at=now, invitation_id=made.id, seats=made.seats, roles=tuple(sorted(made.roles))))
    return code, made


def mail(tx: Transaction, post: Post, code: str, wanted: Invited, *, pages: str) -> None:
    """Mail the code to whom it is for, if that is somebody. `pages`: the address of the front end, empty for none."""
    if wanted.email is None:
        return
    until = datetime.fromtimestamp(wanted.expires_at, UTC).date().isoformat()
    link = f"{pages.rstrip('/')}/register?invitation={code}" if pages else ""
    facts = {"code": code, "link": link, "until": until}
    post(tx, Message(kind=MAIL, to=email_forms(wanted.email)[0], facts=facts, expires_at=wanted.expires_at))


def require_open(tx: Transaction, code: str, email: str, *, now: int) -> None:
    """Return when the code would be taken now; no seat is. Asked before anything costly. Raises InvitationInvalid."""
    if tx.one(_LOOK, _asked(code, email, now)) is None:
        raise InvitationInvalid


def take(tx: Transaction, code: str, email: str, *, now: int) -> Invitation:
    """Take a seat, in the transaction that makes the account: when that fails the seat is free again.

    However many people hold the code, no more than its seats succeed. Raises InvitationInvalid.
    """
    row = tx.one(_TAKE, _asked(code, email, now))
    if row is None:
        raise InvitationInvalid
    return _invitation(row)


def page(tx: Transaction, *, now: int, after: str | None, limit: int, everything: bool = False) -> list[Invitation]:
    """Return invitations in order of id: those that can be used, or with `everything` all."""
    query = select(table).order_by(table.c.id).limit(limit)
    if not everything:
        query = query.where(*_GOOD).params(now=now)
    if after is not None:
        query = query.where(table.c.id > after)
    return [_invitation(row) for row in tx.all(query)]


def revoke(tx: Transaction, invitation_id: str, *, now: int) -> None:
    """Make an invitation worthless. Raises NotFound when there is none that is not revoked already."""
    guard = (table.c.id == invitation_id, table.c.revoked_at.is_(None))
    if tx.change(update(table).where(*guard).values(revoked_at=now)) != 1:
        raise NotFound
    tx.emit(InvitationRevoked(at=now, invitation_id=invitation_id))


def _asked(code: str, email: str, now: int) -> dict[str, Any]:
    return {"code": digest_of(canonical(code)), "email": email_forms(email)[1], "now": now}


def _row(made: Invitation) -> dict[str, Any]:
    row = {name: getattr(made, name) for name in Invitation.__dataclass_fields__}
    return {**row, "roles": sorted(made.roles)}


def _invitation(row: RowMapping) -> Invitation:
    values = {name: row[name] for name in Invitation.__dataclass_fields__}
    return Invitation(**{**values, "roles": frozenset(row["roles"])})


_BY_A_USER = "user:"
_MAKER = func.substr(table.c.created_by, len(_BY_A_USER) + 1)
_MAKER_MAY = or_(
    not_(table.c.created_by.startswith(_BY_A_USER)),
    exists(select(account.c.user_id).where(account.c.user_id == _MAKER, acts_as(account, ADMIN))),
)
"""Whoever gave a code out may no longer let anybody in once they are no administrator, least of all themselves."""

_GOOD = (
    table.c.revoked_at.is_(None),
    table.c.expires_at > bindparam("now"),
    table.c.used < table.c.seats,
    _MAKER_MAY,
)
_FOR = (
    table.c.digest == bindparam("code"),
    or_(table.c.email_key.is_(None), table.c.email_key == bindparam("email")),
    *_GOOD,
)
_LOOK = select(table.c.id).where(*_FOR)
_TAKE = update(table).where(*_FOR).values(used=table.c.used + 1).returning(table)
