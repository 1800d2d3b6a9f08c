"""The subscription of a user: one row, written from the notices of a payment provider, and read.

Threat: a notice that is delivered twice, or after a later one, and gives or takes a plan; one customer with two
    accounts; a row for a user who was just deleted.
Source: OWASP ASVS 5.0 V2.3.3, V15.4.2; design section 6 (one guarded statement).

Nothing here decides what a plan allows: that is for the host, which asks `read` or keeps roles by the event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from rimlock.core import accounts
from rimlock.core.errors import InvalidRequest, NotFound
from rimlock.core.schema import subscription as table
from rimlock.features.subscription.errors import SubscriptionConflict
from rimlock.features.subscription.events import SubscriptionChanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = ["NONE", "Changes", "Subscription", "of_customer", "put", "read", "replace"]

LONGEST = {"customer_id": 255, "plan_id": 255, "subscription_id": 255, "status": 64}
TIMES = ("last_renewal", "next_renewal")
LATEST = 253_402_300_799
"""The end of the year 9999: what every database, and every answer, can still carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What the payment provider knows of a user. Times are seconds since the epoch; None where nothing is known."""

    customer_id: str | None = None
    plan_id: str | None = None
    subscription_id: str | None = None
    status: str | None = None
    last_renewal: int | None = None
    next_renewal: int | None = None


NONE = Subscription()


class Changes(TypedDict, total=False):
    """What is to be another way. What is left out stays, None takes a value away."""

    customer_id: str | None
    plan_id: str | None
    subscription_id: str | None
    status: str | None
    last_renewal: int | None
    next_renewal: int | None


async def read(context: Context, user_id: str) -> Subscription:
    """Return the subscription of a user; all None for one who has none. Raises Unavailable."""
    return await context.database.read(lambda tx: _found(tx, user_id))


async def of_customer(context: Context, customer_id: str) -> str | None:
    """Return the id of the user who is this customer of the payment provider. Raises Unavailable."""
    row = await context.database.read(lambda tx: tx.one(_BY_CUSTOMER, {"customer": customer_id}))
    return None if row is None else str(row["user_id"])


async def put(context: Context, user_id: str, *, as_of: int | None = None, **changes: Unpack[Changes]) -> Subscription:
    """Write down what the payment provider says, and return what is known then.

    `as_of`: when it was so, in seconds since the epoch, as the notice says; now, unless given. What is older than what
    is known changes nothing, and what is known already neither: notices may come twice, and in any order.
    Raises NotFound for no such user, SubscriptionConflict, InvalidRequest, Unavailable.
    """
    given, now = _checked(changes), context.now()
    moment = now if as_of is None else as_of
    return await context.database.write(lambda tx: _put(tx, user_id, given, moment, now))


async def replace(context: Context, user_id: str, wanted: Subscription, *, by: Principal) -> Subscription:
    """Write down all of it, as an administrator. Raises as `put`, and CredentialInvalid."""
    given, now = _checked({name: getattr(wanted, name) for name in Subscription.__dataclass_fields__}), context.now()

    def work(tx: Transaction) -> Subscription:
        accounts.require_admin(tx, by)
        return _put(tx, user_id, given, LATEST, now)

    return await context.database.write(work)


def _put(tx: Transaction, user_id: str, given: Mapping[str, Any], moment: int, now: int) -> Subscription:
    if accounts.standing(tx, user_id, held=True) is None:
        raise NotFound
    before = _found(tx, user_id)
    if given:
        _write(tx, {"user_id": user_id, **given, "updated_at": min(moment, now)}, moment)
    after = _found(tx, user_id)
    if after != before:
        tx.emit(SubscriptionChanged(at=now, user_id=user_id, plan_id=after.plan_id, status=after.status))
    return after


def _write(tx: Transaction, row: Mapping[str, Any], moment: int) -> None:
    """Insert the row, or change it unless what is known is from later than `moment`. Raises SubscriptionConflict."""
    insertion = tx.upsert(table)
    new = {name: insertion.excluded[name] for name in row if name != "user_id"}
    statement = insertion.on_conflict_do_update(
        index_elements=[table.c.user_id], set_=new, where=table.c.updated_at <= moment
    )
    try:
        tx.change(statement, dict(row))
    except IntegrityError:
        raise SubscriptionConflict from None


def _found(tx: Transaction, user_id: str) -> Subscription:
    row = tx.one(_BY_USER, {"user": user_id})
    return NONE if row is None else _read(row)


def _read(row: RowMapping) -> Subscription:
    return Subscription(**{name: row[name] for name in Subscription.__dataclass_fields__})


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be stored. Raises InvalidRequest, which names the fields and repeats nothing."""
    unknown = set(changes) - set(Subscription.__dataclass_fields__)
    if unknown:
        raise TypeError(f"a subscription has no {', '.join(sorted(unknown))}")
    wrong = [name for name, value in changes.items() if value is not None and not _fits(name, value)]
    if wrong:
        raise InvalidRequest(errors=tuple(_refused(name) for name in wrong))
    return dict(changes)


def _fits(name: str, value: Any) -> bool:
    if name in TIMES:
        return type(value) is int and 0 <= value <= LATEST
    return isinstance(value, str) and 0 < len(value) <= LONGEST[name] and value.isprintable()


def _refused(name: str) -> dict[str, str]:
    wanted = "seconds since the epoch" if name in TIMES else f"1 to {LONGEST[name]} visible characters"
    return {"name": name, "code": f"{name}_invalid", "detail": f"Use {wanted}."}


_BY_USER = select(table).where(table.c.user_id == bindparam("user"))
_BY_CUSTOMER = select(table.c.user_id).where(table.c.customer_id == bindparam("customer"))
