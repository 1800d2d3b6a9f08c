"""Who has an account: the port to any user table, and our own table behind it.

Threat: a second account for the same person made in a race; an address shown to those who may not see it.
Source: design section 6; OWASP ASVS 5.0 V6.3.8 (enumeration), V15.3.3 (mass assignment).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from rimlock.core.errors import AuthError, InvalidRequest
from rimlock.core.ids import new_id
from rimlock.core.normal import avatar_form, display_form, email_forms, login_key, profile_form, username_forms
from rimlock.core.schema import user as table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction

__all__ = ["EDITABLE", "NewUser", "OwnUsers", "RegistrationConflict", "User", "Users", "offered", "require_wellformed"]

EDITABLE = frozenset({"username", "display_name", "avatar_url", "profile"})
"""What a person may change about themselves without proving anything again."""


class RegistrationConflict(AuthError):
    """The email or the username belongs to an account already. Which of the two is not told."""

    code, status, title = "registration_conflict", 409, "This email or username cannot be used."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What a new account starts with. `username` may be left out."""

    email: str
    username: str | None = None
    display_name: str = ""
    avatar_url: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One person. `profile` holds the fields the application defines. Times are seconds since the epoch."""

    id: str
    email: str
    username: str | None
    display_name: str
    avatar_url: str
    profile: Mapping[str, Any]
    created_at: int
    updated_at: int


class Users(Protocol):
    """A user table. Every method runs inside the caller's transaction."""

    def get(self, tx: Transaction, user_id: str) -> User | None:
        """Return the user with this id."""
        ...

    def find(self, tx: Transaction, login: str) -> User | None:
        """Return the user who signs in as `login`: an email address or a username, in any spelling of it."""
        ...

    def create(self, tx: Transaction, new: NewUser, now: int) -> User:
        """Add a user. Raises RegistrationConflict, InvalidRequest."""
        ...

    def change(self, tx: Transaction, user_id: str, changes: Mapping[str, Any], now: int) -> User | None:
        """Change some of EDITABLE, or `email`. Raises RegistrationConflict, InvalidRequest."""
        ...

    def delete(self, tx: Transaction, user_id: str) -> bool:
        """Remove the user; False when there was none."""
        ...

    def page(self, tx: Transaction, *, after: str | None, limit: int, search: str | None = None) -> list[User]:
        """Return up to `limit` users in order of id, those after `after`, matching `search`."""
        ...


class OwnUsers:
    """Our own table `auth_user`."""

    def get(self, tx: Transaction, user_id: str) -> User | None:
        """See Users.get."""
        return _user(tx.one(_BY_ID, {"key": user_id}))

    def find(self, tx: Transaction, login: str) -> User | None:
        """See Users.find."""
        key = login_key(login)
        if key is None:
            return None
        return _user(tx.one(_BY_EMAIL if key[0] == "email" else _BY_USERNAME, {"key": key[1]}))

    def create(self, tx: Transaction, new: NewUser, now: int) -> User:
        """See Users.create. The unique keys decide a race, not a look beforehand."""
        row = {"id": new_id(now), "created_at": now, **_columns(vars_of(new)), "updated_at": now}
        try:
            tx.change(insert(table), row)
        except IntegrityError:
            raise RegistrationConflict from None
        return User(**{name: row[name] for name in User.__dataclass_fields__})

    def change(self, tx: Transaction, user_id: str, changes: Mapping[str, Any], now: int) -> User | None:
        """See Users.change."""
        if unknown := set(changes) - EDITABLE - {"email"}:
            raise InvalidRequest(errors=tuple(_unknown_field(name) for name in sorted(unknown)))
        values = {**_columns(changes), "updated_at": now}
        try:
            tx.change(update(table).where(table.c.id == user_id).values(**values))
        except IntegrityError:
            raise RegistrationConflict from None
        return self.get(tx, user_id)

    def delete(self, tx: Transaction, user_id: str) -> bool:
        """See Users.delete."""
        return tx.change(delete(table).where(table.c.id == user_id)) == 1

    def page(self, tx: Transaction, *, after: str | None, limit: int, search: str | None = None) -> list[User]:
        """See Users.page."""
        query = select(table).order_by(table.c.id).limit(limit)
        if after is not None:
            query = query.where(table.c.id > after)
        if search:
            start = search.casefold()
            query = query.where(
                or_(
                    table.c.email_key.startswith(start, autoescape=True),
                    table.c.username_key.startswith(start, autoescape=True),
                )
            )
        return [found for row in tx.all(query) if (found := _user(row))]


def require_wellformed(values: Mapping[str, Any]) -> None:
    """Return when every given field has its form: asked before anything costly. Raises InvalidRequest."""
    _columns(values)


def offered(users: Users, names: Iterable[str]) -> list[str]:
    """Return those of these fields that a user table has. A host's own may lack some; then they cannot be set."""
    columns = getattr(users, "columns", None)
    return [name for name in names if columns is None or name in columns]


def vars_of(new: NewUser) -> dict[str, Any]:
    """Return the fields of a new user as a mapping."""
    return {name: getattr(new, name) for name in NewUser.__dataclass_fields__}


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add to the given fields the keys they are compared by."""
    columns = dict(values)
    if "email" in values:
        columns["email"], columns["email_key"] = email_forms(values["email"])
    if values.get("username") is not None:
        columns["username"], columns["username_key"] = username_forms(values["username"])
    elif "username" in values:
        columns["username_key"] = None
    for name, form in _FORMS.items():
        if name in values:
            columns[name] = form(values[name])
    return columns


_FORMS: dict[str, Callable[[Any], Any]] = {
    "display_name": display_form,
    "avatar_url": avatar_form,
    "profile": profile_form,
}


def _user(row: RowMapping | None) -> User | None:
    return None if row is None else User(**{name: row[name] for name in User.__dataclass_fields__})


def _unknown_field(name: str) -> dict[str, str]:
    return {"name": name, "code": "field_not_editable", "detail": "This field cannot be changed here."}


def _by(column: str) -> Any:
    from sqlalchemy import bindparam

    return select(table).where(table.c[column] == bindparam("key"))


_BY_ID, _BY_EMAIL, _BY_USERNAME = _by("id"), _by("email_key"), _by("username_key")
