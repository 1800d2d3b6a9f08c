"""What a batch of rows says about its owners, and what follows from that.

Threat: a guess; a row that was given an owner by evidence that has changed since.
Source: requirements L7 and N3; design section 8 (judgement is pure, reading is thin).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Integer, String, Text, Uuid, bindparam, cast, column, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import NullType

from rimlock.core.errors import ConfigurationError
from rimlock.owning.tables import owner
from rimlock.retrofit.ownership.keyset import above, not_above, pack
from rimlock.retrofit.ownership.planfile import AuditRule
from rimlock.retrofit.ownership.surveying import find_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Table

    from rimlock.retrofit.ownership.people import Asked
    from rimlock.retrofit.ownership.planfile import TablePlan
    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = [
    "Judged",
    "Row",
    "Target",
    "Verdict",
    "asked_by",
    "judge",
    "judge_all",
    "read_rows",
    "span_end",
    "target",
    "unowned",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table that gets owners: as the host has it, as the plan wants it, and the tables its evidence is in."""

    host: HostTable
    plan: TablePlan
    audits: tuple[HostTable | None, ...]

    @property
    def key(self) -> ColumnElement[Any]:
        """The column rows are told apart by."""
        return self.host.table.c[self.host.key[0]]

    @property
    def row_key(self) -> ColumnElement[str]:
        """The text of it, as it is kept beside the owner."""
        return cast(self.key, String)


Row = tuple[Any, ...]
"""A row without an owner: its key, the text of it, and for each rule what speaks for somebody, as it is stored."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows: an owner by a rule (None: by default), or nobody because the evidence names several people."""

    owner: str | None
    rule: int | None
    texts: frozenset[str] = frozenset()


Judged = dict[Verdict, list[Row]]
"""The rows of a batch, by what follows for them."""


def target(tables: Mapping[str, HostTable], plan: TablePlan) -> Target:
    """Bring together what a table of the plan needs. Raises ConfigurationError for what is not there."""
    host = find_table(dict(tables), plan.name)
    audits = tuple(find_table(dict(tables), r.audit) if isinstance(r, AuditRule) else None for r in plan.rules)
    for rule, audit in zip(plan.rules, audits, strict=True):
        named = [rule.row, rule.user, *rule.where] if isinstance(rule, AuditRule) else [rule.column]
        where = audit or host
        if unknown := [name for name in named if name not in where.table.c]:
            raise ConfigurationError(f"the table {where.label!r} has no column {unknown[0]!r}; correct the plan")
    return Target(host=host, plan=plan, audits=audits)


def judge_all(
    rows: Iterable[Row], target: Target, meant: Callable[[Asked], frozenset[str] | None], default: str
) -> Judged:
    """Judge every row. Few say anything new: what was judged once is not judged again."""
    judged: Judged = {}
    known: dict[Row, list[Row]] = {}
    for row in rows:
        said = row[2:]
        if said not in known:
            known[said] = judged.setdefault(judge(said, target, meant, default), [])
        known[said].append(row)
    return judged


def judge(said: Row, target: Target, meant: Callable[[Asked], frozenset[str] | None], default: str) -> Verdict:
    """Return the owner by the first rule that names anybody. Several people named by one rule are no answer.

    Everything the evidence asks has to be learned before.
    """
    evidence = [_texts(one) for one in said]
    for place, (rule, texts) in enumerate(zip(target.plan.rules, evidence, strict=True)):
        people = frozenset[str]().union(*(meant((text, rule.match)) or () for text in texts))
        if len(people) == 1:
            return Verdict(next(iter(people)), place, texts)
        if people:
            return Verdict(default if target.plan.ambiguous == "default" else None, None, texts)
    return Verdict(default, None, frozenset().union(*evidence))


def asked_by(rows: Iterable[Row], target: Target) -> set[Asked]:
    """Return every question the evidence of these rows asks."""
    return {
        (text, rule.match)
        for said in {row[2:] for row in rows}
        for rule, one in zip(target.plan.rules, said, strict=True)
        for text in _texts(one)
    }


def unowned(target: Target) -> ColumnElement[bool]:
    """Return the condition for rows nobody owns yet."""
    if target.plan.mode == "column":
        return column(target.plan.column).is_(None)
    mine = owner.c.table_name == target.host.label
    return ~exists().where(mine, owner.c.row_key == target.row_key)


def span_end(connection: Connection, target: Target, after: str | None, size: int) -> str | None:
    """Return the place of the row that is `size` rows further on; None when there are fewer."""
    wanted = select(_placed(target)).where(target.key.is_not(None), above([target.key], after))
    row = connection.execute(wanted.order_by(target.key).offset(size - 1).limit(1)).first()
    return None if row is None else pack(tuple(row))


def read_rows(
    connection: Connection,
    target: Target,
    after: str | None,
    end: str | None,
    *,
    hold: bool = False,
    counted: bool = True,
) -> list[Row]:
    """Return the rows between two places that nobody owns. `hold`: keep others from changing them.

    Rows that somebody else holds are left out then. `counted` False reads every row, for an estimate before there is
    anywhere to look owners up.
    """
    held = [cast(target.host.table.c[r.column], Text) for r in target.plan.rules if not isinstance(r, AuditRule)]
    wanted = select(_placed(target), target.row_key, *held).select_from(target.host.table)
    wanted = wanted.where(target.key.is_not(None), above([target.key], after), not_above([target.key], end))
    if counted:
        wanted = wanted.where(unowned(target))
    if hold and target.plan.mode == "column":
        wanted = wanted.with_for_update(key_share=True, skip_locked=True)
    # A key that is no text cannot be asked for: its row stays without an owner, and `verify` counts it.
    found = [row for row in map(tuple, connection.execute(wanted)) if _is_text(row[1])]
    return _with_evidence(connection, target, found)


def _placed(target: Target) -> ColumnElement[Any]:
    return target.key if isinstance(target.key.type, NullType) else target.row_key


def _with_evidence(connection: Connection, target: Target, found: list[Row]) -> list[Row]:
    """Put what records say beside what the rows say themselves, in the order of the rules."""
    if not any(target.audits):
        return found
    keys = [row[1] for row in found]
    columns: list[Sequence[Any]] = [[row[0] for row in found], keys]
    place = 2
    for rule, audit in zip(target.plan.rules, target.audits, strict=True):
        if isinstance(rule, AuditRule) and audit is not None:
            said = _records(connection, audit, rule, keys)
            columns.append([said.get(key) for key in keys])
        else:
            columns.append([row[place] for row in found])
            place += 1
    return list(zip(*columns, strict=True))


def _records(
    connection: Connection, audit: HostTable, rule: AuditRule, keys: Sequence[str]
) -> dict[str, frozenset[Any]]:
    """Return what the records say about each of the rows."""
    table = audit.table
    forms = {form: key for key in keys for form in _forms(key, table.c[rule.row].type)}
    if not forms:
        return {}
    about, by = cast(table.c[rule.row], String), cast(table.c[rule.user], Text)
    wanted = select(about, by).distinct().where(_is_among(connection, table, rule, sorted(forms)))
    wanted = wanted.where(*(_holds(table.c[name], value) for name, value in rule.where.items()))
    said: dict[str, set[Any]] = {}
    for form, text in connection.execute(wanted):
        if form in forms:
            said.setdefault(forms[form], set()).add(text)
    return {key: frozenset(texts) for key, texts in said.items()}


def _is_among(connection: Connection, table: Table, rule: AuditRule, forms: Sequence[str]) -> ColumnElement[bool]:
    """Compare by the column's own type, so that an index over it serves."""
    held = table.c[rule.row]
    if connection.dialect.name == "sqlite":
        return held.in_([bindparam(None, form, type_=NullType(), unique=True) for form in forms])
    given = bindparam(None, list(forms), type_=ARRAY(Text), unique=True)
    return held == func.any(cast(given, ARRAY(held.type)))


def _holds(held: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    if isinstance(held.type, NullType):
        return held == bindparam(None, value, type_=NullType(), unique=True)
    return cast(held, Text) == str(value) if isinstance(value, str) or isinstance(held.type, String) else held == value


def _forms(key: str, kind: Any) -> Iterable[str]:
    """Return how a record may write a key: a UUID with dashes or without. What no such column can hold is left out."""
    if isinstance(kind, Integer):
        return [key] if key.lstrip("-").isdigit() else []
    try:
        known = UUID(key) if len(key) in {32, 36} else None
    except ValueError:
        known = None
    if known is not None:
        return {key, str(known), known.hex} if not isinstance(kind, Uuid) else [str(known)]
    return [] if isinstance(kind, Uuid) else [key]


def _texts(said: Any) -> frozenset[str]:
    """Return the texts of one value, or of several; what is empty says nothing."""
    values = said if isinstance(said, frozenset) else (said,)
    texts = (
        one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values if one is not None
    )
    return frozenset(
        text for raw in texts if (text := raw.encode("utf-8", "replace").decode().replace("\0", "?").strip())
    )


def _is_text(key: str) -> bool:
    """Say whether every database takes a key: SQLite may hold bytes that are no UTF-8 in a text."""
    return key.isascii() or not any("\udc80" <= one <= "\udcff" for one in key)
