"""Saying how far a key or a kind of credential is on its way out: one transaction for each change.

Threat: a change that was meant for another key; an abort that is lost between two changes made at once.
Source: requirements L1 and L12; OWASP ASVS 5.0 V16.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rimlock.core import keys, retiring
from rimlock.core.errors import ConfigurationError, NotFound
from rimlock.core.retirements import Phase, Retirement, checked_target
from rimlock.features.retirement.errors import (
    NoBrownout,
    NoRetirementToUndo,
    RetirementInvalid,
    RetirementTargetUnknown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rimlock.core.database import Transaction
    from rimlock.core.retiring import RetirementChange
    from rimlock.feature import Context

__all__ = ["abort", "change", "history", "in_force", "leave", "take_back", "target_of"]

ID_LENGTH = 32


async def change(context: Context, target: str, given: Mapping[str, Any], *, actor: str) -> RetirementChange:
    """Say what is `given` of a target: fields of Retirement; what is left out stays as it is.

    Without a date it is deprecated from now on. Raises RetirementTargetUnknown, RetirementInvalid.
    """
    now = context.now()
    return await _changed(context, target, lambda standing: _made(target, standing, given, now), actor=actor)


async def abort(context: Context, target: str, *, actor: str) -> RetirementChange:
    """End a brownout, and any that would come: it is deprecated again, by the same dates. Raises NoBrownout."""
    return await _changed(context, target, _without_brownout, actor=actor)


async def leave(context: Context, target: str, *, actor: str) -> RetirementChange:
    """Let a target go by the rule file again."""
    return await _changed(context, target, lambda _: None, actor=actor)


async def take_back(context: Context, target: str | None, *, actor: str) -> RetirementChange:
    """Undo the newest change (of one target). Raises NoRetirementToUndo."""
    try:
        return await context.database.write(
            lambda tx: retiring.back(tx, actor=actor, now=context.now(), target=target and checked_target(target))
        )
    except NotFound:
        raise NoRetirementToUndo from None
    except ConfigurationError as error:
        raise RetirementTargetUnknown(str(error)) from None


async def history(context: Context, *, before: int | None, limit: int) -> list[RetirementChange]:
    """Return changes, newest first."""
    return await context.database.read(lambda tx: retiring.history(tx, before=before, limit=limit))


async def in_force(context: Context) -> list[tuple[Retirement, str]]:
    """Return what holds, and of each key its name; in order of target."""

    def read(tx: Transaction) -> list[tuple[Retirement, str]]:
        found = sorted(retiring.in_force(tx, context.retirements.configured), key=lambda entry: entry.target)
        return [(entry, _name(tx, entry.target)) for entry in found]

    return await context.database.read(read)


async def target_of(context: Context, text: str) -> str:
    """Return the target that is meant by `key:<id>`, `kind:<kind>`, a key's id, or the name of the only key called so.

    Raises RetirementTargetUnknown.
    """
    return await context.database.read(lambda tx: _meant(tx, text))


async def _changed(context: Context, target: str, make: Any, *, actor: str) -> RetirementChange:
    def write(tx: Transaction) -> RetirementChange:
        keys.hold(tx)
        _require(tx, target)
        return retiring.change(
            tx, target, make, actor=actor, now=context.now(), configured=context.retirements.configured
        )

    try:
        return await context.database.write(write)
    except ConfigurationError as error:
        raise RetirementInvalid(f"{RetirementInvalid.title} {str(error)[:1].upper()}{str(error)[1:]}.") from None


def _made(target: str, standing: Retirement | None, given: Mapping[str, Any], now: int) -> Retirement:
    """Return what is to hold. A phase without windows forgets them; the change before it still has them."""
    base = standing or Retirement(target=target, phase=Phase.ACCEPT)
    kept = ("phase", "deprecated_at", "sunset_at", "link", "percent", "windows", "refuse_after_sunset")
    values = {name: getattr(base, name) for name in kept} | dict(given)
    if values["phase"] is not Phase.ACCEPT and values["deprecated_at"] is None:
        values["deprecated_at"] = now if values["sunset_at"] is None else min(now, values["sunset_at"])
    if values["phase"] is not Phase.BROWNOUT:
        values |= {"windows": (), "percent": 100}
    return Retirement(target=target, **values)


def _without_brownout(standing: Retirement | None) -> Retirement:
    if standing is None or standing.phase is not Phase.BROWNOUT:
        raise NoBrownout
    return replace(standing, phase=Phase.DEPRECATED, windows=(), percent=100)


def _require(tx: Transaction, target: str) -> None:
    """Refuse what names nothing: a change would be believed to have an effect."""
    try:
        checked_target(target)
    except ConfigurationError as error:
        raise RetirementTargetUnknown(str(error)) from None
    if target.startswith("key:") and keys.get(tx, target.removeprefix("key:")) is None:
        raise RetirementTargetUnknown


def _meant(tx: Transaction, text: str) -> str:
    if text.startswith(("key:", "kind:")):
        _require(tx, text)
        return text
    if len(text) == ID_LENGTH and keys.get(tx, text) is not None:
        return f"key:{text}"
    found = keys.called(tx, text)
    if len(found) > 1:
        raise RetirementTargetUnknown("Several keys are called so; name the id of one.")
    if not found:
        raise RetirementTargetUnknown
    return f"key:{found[0].id}"


def _name(tx: Transaction, target: str) -> str:
    key = keys.get(tx, target.removeprefix("key:")) if target.startswith("key:") else None
    return "" if key is None else key.name
