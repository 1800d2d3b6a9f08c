"""MappedUsers: the table of users that a host has already, in place of our own. Nothing is added to it.

Threat: the wrong one of two users whose addresses differ only in case; a deleted or disabled user who comes in; an
    address of the host's that is an error of the database.
Source: design section 6; OWASP ASVS 5.0 V6.3.8, V8.2.2, V15.3.3.

It lies in the same database as our tables: who somebody is and what they may do change in one transaction.
"""

from __future__ import annotations

import logging
import unicodedata
from secrets import choice
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from rimlock.core.clock import system_clock
from rimlock.core.errors import AuthError, ConfigurationError, InvalidRequest
from rimlock.core.mapped_columns import USUAL, Columns, Usual, columns_of, moment, require_room, seconds
from rimlock.core.mapped_standing import NO_PASSWORD, MappedAccounts
from rimlock.core.normal import avatar_form, display_form, email_forms, profile_form, username_forms
from rimlock.core.users import EDITABLE, NewUser, RegistrationConflict, User, vars_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import ColumnElement, RowMapping

    from rimlock.core.clock import Clock
    from rimlock.core.database import Transaction

__all__ = ["MappedUsers", "UserInUse"]

log = logging.getLogger("rimlock.users")
PERSON = ("email", "username", "display_name", "avatar_url", "profile", "created_at", "updated_at")
LONGEST_LOGIN = 320
_BCRYPT = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class UserInUse(AuthError):
    """Rows of the application still refer to the user, and the database keeps them from being left alone."""

    code, status, title = "user_in_use", 409, "Something still belongs to this user."


class MappedUsers:
    """Users in a table or a mapped class of the host's. Each argument names a column; None: there is none.

    `password`, `active`, `verified`, `superuser` and `deleted` are found by their usual names (`hashed_password`,
    `is_active`, `is_verified`, `is_superuser`, `deleted_at`). Whoever is a superuser has the role `admin`. `deleted`:
    a moment, a flag, or a condition, then with `when_deleted`, the values that a deletion sets. `defaults`: values, or
    functions of the new user, for columns that a registration must fill. `write_back`: a new password goes into the
    host's column; without it, it is kept beside the table. Raises ConfigurationError.
    """

    def __init__(
        self,
        thing: Any,
        *,
        email: Any = "email",
        username: Any = None,
        display_name: Any = None,
        avatar: Any = None,
        profile: Any = None,
        password: Any = USUAL,
        active: Any = USUAL,
        verified: Any = USUAL,
        superuser: Any = USUAL,
        deleted: Any = USUAL,
        created_at: Any = None,
        updated_at: Any = None,
        when_deleted: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any | Callable[[NewUser], Any]] | None = None,
        write_back: bool = True,
    ) -> None:
        """Look at the table's definition; the database is looked at by `rimlock doctor` and at the first use."""
        names: dict[str, Any | Usual] = {"email": email, "username": username, "display_name": display_name}
        names |= {"avatar_url": avatar, "profile": profile, "password": password, "active": active}
        names |= {"verified": verified, "superuser": superuser, "deleted": deleted}
        names |= {"created_at": created_at, "updated_at": updated_at}
        self.columns: Columns = columns_of(thing, names, when_deleted, defaults or {})
        self.write_back = write_back and "password" in self.columns
        self._defaults = dict(defaults or {})
        self._clock: Clock = system_clock
        if self.write_back:
            require_room(self.columns)

    def accounts(self, clock: Clock) -> MappedAccounts:
        """Return where the standings of these users come from. Rimlock asks for it when it is made."""
        self._clock = clock
        return MappedAccounts(self, clock)

    def get(self, tx: Transaction, user_id: str) -> User | None:
        """See Users.get. A text that is no id of this table is nobody's, and the database is not asked."""
        return self._user(self.row(tx, user_id, PERSON))

    def find(self, tx: Transaction, login: str) -> User | None:
        """See Users.find. Two rows that only case or width tells apart are both refused, and the operator is told."""
        found = self._matching(tx, "email" if "@" in login else "username", login)
        if len(found) > 1:
            ids = ", ".join(str(self.columns.key.text(row["id"])) for row in found)
            log.error("the users %s have the same login in different spelling: neither can sign in by it", ids)
        return self._user(found[0]) if len(found) == 1 else None

    def create(self, tx: Transaction, new: NewUser, now: int) -> User:
        """See Users.create."""
        values = self._values(vars_of(new))
        self._require_free(tx, values)
        columns = self.columns
        row = columns.called({**self._standing(), **self._moments(now), **values})
        unset = {columns.table.c[name]: value for name, value in columns.unset.items()}
        row |= {column: value for column, value in unset.items() if not _made(column)}
        row |= {self._named(name): value(new) if callable(value) else value for name, value in self._defaults.items()}
        if not _made(columns.id) and (key := columns.key.fresh(now)) is not None:
            row[columns.id] = key
        made = self._guarded(tx, insert(columns.table).values(row).returning(columns.id))
        found = self.get(tx, str(columns.key.text(made)))
        if found is None:
            raise ConfigurationError("a user was made whom the mapping takes for deleted; see `deleted` and `defaults`")
        return found

    def change(self, tx: Transaction, user_id: str, changes: Mapping[str, Any], now: int) -> User | None:
        """See Users.change. What the table has no column for cannot be changed."""
        if unknown := sorted(set(changes) - EDITABLE - {"email"}):
            raise InvalidRequest(errors=tuple(_refused(name) for name in unknown))
        values = self._values(changes)
        key = self.columns.key.value(user_id)
        if key is None:
            return None
        self._require_free(tx, values, but=key)
        row = self.columns.called({**values, "updated_at": self._moments(now).get("updated_at")} if values else {})
        if row:
            self._guarded(tx, update(self.columns.table).where(*self._is(key)).values(row).returning(self.columns.id))
        return self.get(tx, user_id)

    def delete(self, tx: Transaction, user_id: str) -> bool:
        """See Users.delete. Where the table marks its deleted users, this one is marked. Raises UserInUse."""
        key = self.columns.key.value(user_id)
        if key is None:
            return False
        table, gone = self.columns.table, self.columns.gone
        try:
            if gone is None:
                return tx.change(delete(table).where(*self._is(key))) == 1
            return tx.change(update(table).where(*self._is(key)).values(self._gone(gone))) == 1
        except IntegrityError:
            raise UserInUse from None

    def page(self, tx: Transaction, *, after: str | None, limit: int, search: str | None = None) -> list[User]:
        """See Users.page. The order is that of the host's keys: numbers by their size."""
        columns = self.columns
        query = select(*columns.among(PERSON)).where(*self._living()).order_by(columns.id).limit(limit)
        if after is not None:
            key = columns.key.value(after)
            if key is None:
                return []
            query = query.where(columns.id > key)
        if search:
            starts = [
                func.lower(columns[role]).startswith(search.lower(), autoescape=True)
                for role in ("email", "username")
                if role in columns
            ]
            query = query.where(or_(*starts))
        return [found for row in tx.all(query) if (found := self._user(row)) is not None]

    def row(self, tx: Transaction, user_id: str, roles: Iterable[str]) -> RowMapping | None:
        """Return these columns of one living user, labelled by what they mean, and the key as `id`."""
        key = self.columns.key.value(user_id)
        if key is None:
            return None
        row = tx.one(select(*self.columns.among(roles)).where(*self._is(key)))
        return row if row is not None and self.columns.key.text(row["id"]) == user_id else None

    def rows(self, tx: Transaction, user_ids: Iterable[str], roles: Iterable[str]) -> dict[str, RowMapping]:
        """Return the same of several users, by id."""
        keys = [key for one in user_ids if (key := self.columns.key.value(one)) is not None]
        query = select(*self.columns.among(roles)).where(self.columns.id.in_(keys), *self._living())
        return {str(self.columns.key.text(row["id"])): row for row in tx.all(query)}

    def write(self, tx: Transaction, user_id: str, values: Mapping[str, Any]) -> None:
        """Set columns of a user by what they mean; those that the table does not have are left out."""
        row = self.columns.called(values)
        if row:
            tx.change(update(self.columns.table).where(*self._is(self.columns.key.value(user_id))).values(row))

    def anyone(self, tx: Transaction, *conditions: ColumnElement[bool]) -> bool:
        """Say whether any living user meets the conditions."""
        return tx.one(select(self.columns.id).where(*self._living(), *conditions).limit(1)) is not None

    def living(self) -> list[ColumnElement[bool]]:
        """Return the conditions that a row is somebody's."""
        return self._living()

    def require_there(self, tx: Transaction) -> None:
        """Return when the table is in this database, as it was described. Raises ConfigurationError."""
        try:
            tx.all(select(*self.columns.among(self.columns.by_role)).limit(0))
        except DBAPIError:
            raise ConfigurationError(
                f"the table {self.columns.table.fullname!r}, with the columns MappedUsers was given, is not in the "
                "database of DATABASE_URL; it has to be the host's own database, and the table has to be there first"
            ) from None

    def placeholder(self) -> str | None:
        """Return what stands where the host wants a hash and there is none: a well-formed one of no password."""
        if self.columns["password"].nullable:
            return None
        return NO_PASSWORD + "".join(choice(_BCRYPT) for _ in range(30)) + choice(_BCRYPT[::4])

    def _living(self) -> list[ColumnElement[bool]]:
        return [] if self.columns.living is None else [self.columns.living]

    def _is(self, key: Any) -> list[ColumnElement[bool]]:
        return [self.columns.id == key, *self._living()]

    def _matching(self, tx: Transaction, role: str, login: str) -> list[RowMapping]:
        """Return the living rows whose address or username is this one in some spelling. The index is on lower()."""
        key = folded(role, login)
        if role not in self.columns or key is None:
            return []
        column = self.columns[role]
        spellings = sorted({key, login.lower(), unicodedata.normalize("NFC", login).lower()})
        close = [func.lower(column).in_(spellings), column.in_(sorted({login, *spellings}))]
        if tx.dialect == "sqlite" and not key.isascii():  # its lower() knows no other letters
            close += [func.lower(column).like(_loosely(one), escape="\\") for one in spellings]
        rows = tx.all(select(*self.columns.among(PERSON)).where(or_(*close), *self._living()))
        return [row for row in rows if folded(role, row[role] or "") == key]

    def _require_free(self, tx: Transaction, values: Mapping[str, Any], but: Any = None) -> None:
        """Return when nobody has the address or the name in any spelling. One at a time: the host may have no index."""
        for role in ("email", "username"):
            if values.get(role):
                tx.lock(f"rimlock-{role}:{folded(role, values[role])}")
                if any(row["id"] != but for row in self._matching(tx, role, values[role])):
                    raise RegistrationConflict

    def _values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given fields in the form in which they are stored. Raises InvalidRequest."""
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name in self.columns:
                values[name] = _FORMS[name](value) if value is not None else None
                self._require_short(name, values[name])
            elif value:
                raise InvalidRequest(errors=(_refused(name),))
        return values

    def _require_short(self, name: str, value: Any) -> None:
        length = getattr(self.columns[name].type, "length", None)
        if length is not None and isinstance(value, str) and len(value) > length:
            detail = f"Use up to {length} characters."
            raise InvalidRequest(errors=({"name": name, "code": f"{name}_too_long", "detail": detail},))

    def _standing(self) -> dict[str, Any]:
        """Return what a new row says of somebody who may act and has no password and no role yet."""
        return {
            "active": True,
            "verified": False,
            "superuser": False,
            **({"password": self.placeholder()} if "password" in self.columns else {}),
        }

    def _moments(self, now: int) -> dict[str, Any]:
        return {role: moment(self.columns[role], now) for role in ("created_at", "updated_at") if role in self.columns}

    def _gone(self, gone: Mapping[str, Any]) -> dict[Any, Any]:
        now = int(self._clock())
        columns = {self._named(name): value for name, value in gone.items()}
        return {column: moment(column, now) if value is None else value for column, value in columns.items()}

    def _named(self, name: str) -> Any:
        found = self.columns.table.columns.get(name)
        return found if found is not None else next(one for one in self.columns.table.columns if one.name == name)

    def _guarded(self, tx: Transaction, statement: Any) -> Any:
        """Run a statement and return the key of its row. Raises RegistrationConflict for what has to be unique."""
        try:
            row = tx.one(statement)
        except IntegrityError as error:
            if _unique(error):
                raise RegistrationConflict from None
            raise
        return None if row is None else next(iter(row.values()))

    def _user(self, row: RowMapping | None) -> User | None:
        user_id = None if row is None else self.columns.key.text(row["id"])
        if row is None or user_id is None:
            return None
        profile = row.get("profile")
        return User(
            id=user_id,
            email=row["email"] or "",
            username=row.get("username") or None,
            display_name=row.get("display_name") or "",
            avatar_url=row.get("avatar_url") or "",
            profile=profile if isinstance(profile, dict) else {},
            created_at=seconds(row.get("created_at")),
            updated_at=seconds(row.get("updated_at")),
        )


def folded(role: str, text: str) -> str | None:
    """Return what two spellings of an address or a username have in common; None for what can be neither.

    A host may hold addresses and names that nobody could register with us: they are compared by case and width alone.
    """
    if not 0 < len(text) <= LONGEST_LOGIN or not text.isprintable():
        return None
    try:
        return email_forms(text)[1] if role == "email" else username_forms(text)[1]
    except InvalidRequest:
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _loosely(text: str) -> str:
    """Return a pattern in which any one character stands for a letter that is not ASCII."""
    return "".join(f"\\{sign}" if sign in "\\%_" else sign if sign.isascii() else "_" for sign in text)


def _made(column: Any) -> bool:
    """Say whether the table or its model fills the column by itself."""
    return column.default is not None or column.server_default is not None or column.identity is not None


def _unique(error: IntegrityError) -> bool:
    """Whether it was a value that is there already: told by PostgreSQL's class of error, and by SQLite's text."""
    return getattr(error.orig, "sqlstate", None) == "23505" or "UNIQUE constraint" in str(error.orig)


def _refused(name: str) -> dict[str, str]:
    return {"name": name, "code": "field_not_editable", "detail": "This field cannot be changed here."}


_FORMS: dict[str, Callable[[Any], Any]] = {
    "email": lambda text: email_forms(text)[0],
    "username": lambda text: username_forms(text)[0],
    "display_name": display_form,
    "avatar_url": avatar_form,
    "profile": profile_form,
}
