"""`owned`: the same statement, narrowed to the rows of the principal's user.

Threat: one query of many without its WHERE; an OR that undoes it; the second table of a join that nobody narrowed.
Source: requirement T6 (owner scoping is a building block); OWASP ASVS 5.0 V8.2.2, V8.3.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import Column, CompoundSelect, Delete, Select, Table, Update, and_, inspect
from sqlalchemy.orm import Query, with_loader_criteria
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, Grouping

from rimlock.core.access import allows
from rimlock.core.errors import ConfigurationError, CredentialMissing, PermissionMissing
from rimlock.owning.conditions import OWNER, condition, owner_of, undeclared
from rimlock.owning.declaring import Ownership, ownership_of, table_of
from rimlock.owning.places import Place, conjuncts
from rimlock.owning.reading import Reading, read
from rimlock.owning.relations import related
from rimlock.web.problems import Refusal

if TYPE_CHECKING:
    from rimlock.core.principal import Principal

__all__ = ["ALL", "LEFT", "PERMISSION", "owned"]

Statement = TypeVar("Statement")

PERMISSION = "owned:everything"
"""Who may read and change everybody's rows: a principal with this permission, or with the role `admin`."""

ALL = "rimlock_owned_everything"
"""The execution option of a statement that stands for everybody's rows on purpose."""

LEFT = "rimlock_owned_left"
"""The execution option with the names of the tables that `of` left as they were."""


def owned(statement: Statement, principal: Principal | None, *, of: Any = None, everything: bool = False) -> Statement:
    """Return the statement narrowed to the rows of the principal's user; it is still one statement.

    `statement`: select(), update(), delete() of tables or mapped classes, or a `Query`. Every declared table in it is
    narrowed, joined ones and aliases too; what a subquery reads has to be narrowed there, by `owned` or `mine`.
    `of`: narrow this table, class or alias (or these) only, and leave the others on purpose. `everything`: leave it
    as it is, for a principal with the role `admin` or the permission `owned:everything`.

    Raises ConfigurationError when it cannot be narrowed, or holds no table with a declared owner; Refusal
    `credential_missing` for a principal without a user, `permission_missing` for `everything` without the permission.
    """
    reading = _declared(statement, of)
    changed: Any = statement
    if everything:
        _check(principal)
        return cast("Statement", changed.execution_options(**{ALL: True}))
    user_id = owner_of(principal)
    chosen = [place for place in reading.places if of is None or _is_named(place, of)]
    left = frozenset(str(place.table) for place in reading.places if place not in chosen)
    missing = [one for place in chosen for one in _missing(place, user_id)]
    changed = _narrowed(changed, missing, loose=reading.loose) if missing else changed
    changed = _with_relations(changed, user_id, of)
    return cast("Statement", changed.execution_options(**{LEFT: left}) if left else changed)


def _declared(statement: Any, of: Any) -> Reading:
    """Read the tables with an owner. Raises ConfigurationError without one, or without the one that `of` names."""
    core = statement.statement if isinstance(statement, Query) else statement
    if not isinstance(core, Select | Update | Delete | CompoundSelect):
        raise ConfigurationError(f"owned() narrows select(), update() and delete(), not {type(statement).__name__}")
    reading = read(core)
    declared = [place for place in reading.places if ownership_of(place.table)]
    for one in _listed(of):
        if not any(_is_named(place, one) for place in declared):
            raise ConfigurationError(f"of={table_of(one).name} is not in the statement, or nothing says whose it is")
    if not declared:
        raise undeclared(str(reading.places[0].table) if reading.places else type(core).__name__)
    return replace(reading, places=declared)


def _check(principal: Principal | None) -> None:
    if principal is None:
        raise Refusal(CredentialMissing())
    if "admin" not in principal.roles and not allows(principal.permissions, PERMISSION):
        raise Refusal(PermissionMissing())


def _missing(place: Place, user_id: str) -> Iterable[Any]:
    """Yield the condition that this place needs and does not have. Raises ConfigurationError where it cannot be put."""
    ownership = ownership_of(place.table)
    if ownership is None or any(_names(one, user_id) for one in place.owners):
        return
    if place.nested:
        raise ConfigurationError(
            f"{place.table} is read in a subquery; narrow it there, by owned(select(…), principal) or "
            f"mine({place.table}, principal) in its WHERE, or name what is meant by of=…"
        )
    if place.optional:
        raise ConfigurationError(
            f"{place.table} is on the outer side of a join, where a WHERE would drop rows of the other side; "
            f"put mine({place.table}, principal) into its ON, or join the subquery of an owned(select(…), principal)"
        )
    yield condition(place.leaf, ownership, user_id, single=_is_single(place, ownership))


def _is_single(place: Place, ownership: Ownership) -> bool:
    """Say whether WHERE names one row by its primary key, so that one line of the side table is looked for."""
    return any(
        isinstance(one, BinaryExpression)
        and one.operator is operators.eq
        and isinstance(one.left, Column)
        and isinstance(one.right, BindParameter)
        and (one.left.key, one.left.table) == (ownership.row_key, place.leaf)
        for one in place.conditions
    )


def _narrowed(statement: Any, conditions: list[Any], *, loose: bool) -> Any:
    """Add the conditions, and put parentheses around text: an OR in it would reach beyond them."""
    narrowed = statement.filter(*conditions) if isinstance(statement, Query) else statement.where(*conditions)
    if loose:
        narrowed._where_criteria = (Grouping(and_(*conjuncts(statement.whereclause))), *conditions)  # noqa: SLF001 - a copy, made just now
    return narrowed


def _with_relations(statement: Any, user_id: str, of: Any) -> Any:
    """Narrow what the ORM loads along relationships, now or when they are touched."""
    options = []
    for mapper in related(statement):
        table = mapper if isinstance(mapper, Table) else mapper.local_table
        ownership = ownership_of(table)
        if ownership is None or not (of is None or any(table_of(one) is table for one in _listed(of))):
            continue
        if isinstance(mapper, Table):
            raise ConfigurationError(
                f"a column_property reads {table} in a subquery; write it there as the mapped class, so that it can be "
                "narrowed, or name what is meant by of=…"
            )
        # Row by row: what the statement itself selects has been found by the condition in its WHERE.
        where = condition(mapper, ownership, user_id, single=True)
        options.append(with_loader_criteria(mapper.class_, where, include_aliases=True))
    return statement.options(*options) if options else statement


def _names(owner: Any, user_id: str) -> bool:
    """Say whether a condition is about this user, and not about another one."""
    pending = [owner]
    while pending:
        part = pending.pop()
        if isinstance(part, BindParameter) and OWNER in str(part.key) and str(part.value) == user_id:
            return True
        pending += part.get_children()
    return False


def _is_named(place: Place, of: Any) -> bool:
    for one in _listed(of):
        found = inspect(one, raiseerr=False)
        if getattr(found, "is_aliased_class", False):
            return bool(found.selectable == place.leaf)
        if one == place.leaf or table_of(one) is table_of(place.table):
            return True
    return False


def _listed(of: Any) -> list[Any]:
    return [] if of is None else list(of) if isinstance(of, list | tuple | set | frozenset) else [of]
