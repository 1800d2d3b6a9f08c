"""The plan: which tables get owners, how, and by what evidence. A file that people write and review.

Threat: a misspelt word in the plan that is passed over, so that rows go to the wrong person.
Source: https://toml.io/en/v1.0.0; design section 7 (configuration mistakes raise, with the mend in the sentence).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "FILE_NAME",
    "SYSTEM",
    "AuditRule",
    "ColumnRule",
    "Match",
    "Plan",
    "Rule",
    "TablePlan",
    "load_plan",
    "read_plan",
]

FILE_NAME = "rimlock-ownership.toml"
SYSTEM = "system"
Match = Literal["id", "email", "username", "display"]
MATCHES: tuple[Match, ...] = ("id", "email", "username", "display")
LONGEST_NAME = 63
"""PostgreSQL cuts off what is longer."""
USUAL_MATCH: tuple[Match, ...] = ("email", "username")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRule:
    """The text of a column of the row says who owns it."""

    column: str
    match: tuple[Match, ...] = USUAL_MATCH

    @property
    def label(self) -> str:
        """How reports call it."""
        return f"column {self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRule:
    """A record in another table says who made the row. `where`: what further columns of the record have to hold."""

    audit: str
    row: str
    user: str
    where: Mapping[str, Any] = field(default_factory=dict)
    match: tuple[Match, ...] = USUAL_MATCH

    @property
    def label(self) -> str:
        """How reports call it."""
        return f"audit {self.audit}"


Rule = ColumnRule | AuditRule


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """How one table gets owners.

    `mode`: beside the table, or in a column of it. `column`, `references`, `index`: of that column. `ambiguous`:
    whether a row whose evidence names several people is left or goes to the default. `triggers`: whether the host's own
    triggers may fire when the column is filled.
    """

    name: str
    mode: Literal["side", "column"] = "side"
    column: str = "owner_id"
    rules: tuple[Rule, ...] = ()
    default: str = SYSTEM
    ambiguous: Literal["leave", "default"] = "leave"
    references: bool = False
    index: bool = True
    triggers: Literal["refuse", "fire"] = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole. `ddl`: how columns come, by a revision in the host's Alembic or by plain SQL. `map`: text -> login."""

    tables: tuple[TablePlan, ...]
    ddl: Literal["alembic", "sql"] = "sql"
    alembic: str = "alembic.ini"
    map: Mapping[str, str] = field(default_factory=dict)

    def of(self, mode: Literal["side", "column"]) -> tuple[TablePlan, ...]:
        """Return the tables of one mode."""
        return tuple(table for table in self.tables if table.mode == mode)


def load_plan(path: Path) -> Plan:
    """Read the plan from a file. Raises ConfigurationError."""
    try:
        written = path.read_text(encoding="utf-8")
    except OSError:
        raise ConfigurationError(
            f"there is no plan {path.name}; `rimlock retrofit plan` writes one to begin with"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the plan {path.name} is not written in UTF-8") from None
    return read_plan(written)


def read_plan(written: str) -> Plan:
    """Read the plan from a text. Raises ConfigurationError with the place of what is wrong."""
    try:
        data = tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the plan is no TOML: {error}") from None
    _only(data, {"ddl", "alembic", "map", "table"}, "the plan")
    tables = tuple(_table(one, place) for place, one in enumerate(_list(data.get("table", []), "[[table]]"), 1))
    if not tables:
        raise ConfigurationError("the plan names no [[table]]")
    if len({table.name for table in tables}) < len(tables):
        raise ConfigurationError("the plan names a table twice")
    return Plan(
        tables=tables,
        ddl=_word(data, "ddl", ("sql", "alembic"), "the plan"),
        alembic=_text(data.get("alembic", "alembic.ini"), "alembic"),
        map={text: _text(login, f"map.{text}") for text, login in _mapping(data.get("map", {}), "[map]").items()},
    )


def _table(data: Any, place: int) -> TablePlan:
    where = f"table {place}"
    fields = {"name", "mode", "column", "default", "ambiguous", "references", "index", "triggers", "rule"}
    _only(_mapping(data, where), fields, where)
    where = f"table {_text(data.get('name'), f'{where}: name')!r}"
    return TablePlan(
        name=data["name"],
        mode=_word(data, "mode", ("side", "column"), where),
        column=_name(data.get("column", "owner_id"), f"{where}: column"),
        rules=tuple(_rule(one, where) for one in _list(data.get("rule", []), f"{where}: rule")),
        default=_text(data.get("default", SYSTEM), f"{where}: default"),
        ambiguous=_word(data, "ambiguous", ("leave", "default"), where),
        references=_flag(data, "references", where, usual=False),
        index=_flag(data, "index", where, usual=True),
        triggers=_word(data, "triggers", ("refuse", "fire"), where),
    )


def _rule(data: Any, where: str) -> Rule:
    where = f"a rule of {where}"
    _mapping(data, where)
    match = tuple(_list(data.get("match", list(USUAL_MATCH)), f"{where}: match"))
    if unknown := [word for word in match if word not in MATCHES]:
        raise ConfigurationError(f"{where}: match cannot be {unknown[0]!r}; it may hold {', '.join(MATCHES)}")
    if "audit" not in data:
        _only(data, {"column", "match"}, where)
        return ColumnRule(column=_text(data.get("column"), f"{where}: column"), match=match)
    _only(data, {"audit", "row", "user", "where", "match"}, where)
    named = {name: _text(data.get(name), f"{where}: {name}") for name in ("audit", "row", "user")}
    held = _mapping(data.get("where", {}), f"{where}: where")
    if odd := [name for name, value in held.items() if not isinstance(value, str | int | float | bool)]:
        raise ConfigurationError(f"{where}: where.{odd[0]} is a text, a number, true or false")
    return AuditRule(**named, where=held, match=match)


def _only(data: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(data) - known):
        raise ConfigurationError(f"{where}: there is no {unknown[0]!r}; it may hold {', '.join(sorted(known))}")


def _word(data: Mapping[str, Any], name: str, allowed: tuple[str, ...], where: str) -> Any:
    """Return one of the words; the first is the usual one."""
    found = data.get(name, allowed[0])
    if found not in allowed:
        raise ConfigurationError(f"{where}: {name} is one of {', '.join(allowed)}")
    return found


def _flag(data: Mapping[str, Any], name: str, where: str, *, usual: bool) -> bool:
    found = data.get(name, usual)
    if not isinstance(found, bool):
        raise ConfigurationError(f"{where}: {name} is true or false")
    return found


def _text(found: Any, where: str) -> str:
    if not isinstance(found, str) or not found:
        raise ConfigurationError(f"{where} has to be a text")
    return found


def _name(found: Any, where: str) -> str:
    """Return the name of a new column, which every database takes as it stands."""
    name = _text(found, where)
    if len(name.encode()) > LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"{where} has at most {LONGEST_NAME} bytes, all of them printable")
    return name


def _list(found: Any, where: str) -> list[Any]:
    if not isinstance(found, list):
        raise ConfigurationError(f"{where} has to be a list")
    return found


def _mapping(found: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"{where} has to be a table")
    return found
