"""`[[retire]]` in `rimlock.toml`: which key or kind of credential is on its way out, and by when.

Threat: a date that is read as another; a misspelt word that quietly retires nothing.
Source: https://toml.io/en/v1.0.0 (dates); RFC 9745, RFC 8594.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from rimlock.core.errors import ConfigurationError
from rimlock.core.retirements import Phase, Retirement, checked_target
from rimlock.core.windows import Window

__all__ = ["MEMBERS", "retirement_of"]

MEMBERS = frozenset(
    {"key", "kind", "phase", "deprecated", "sunset", "refuse_after_sunset", "link", "percent", "windows"}
)
_ID_LENGTH = 32


def retirement_of(entry: Mapping[str, Any], place: str, source: str) -> Retirement:
    """Return what one table says. Raises ConfigurationError that names the place."""
    try:
        return Retirement(
            target=_target(entry),
            phase=_phase(entry),
            deprecated_at=_moment(entry, "deprecated", time.min),
            sunset_at=_moment(entry, "sunset", time.max),
            link=_of_type(entry, "link", str, ""),
            percent=_of_type(entry, "percent", int, 100),
            windows=tuple(_window(one) for one in _of_type(entry, "windows", list, [])),
            refuse_after_sunset=_of_type(entry, "refuse_after_sunset", bool, False),  # noqa: FBT003 - its default
            source=source,
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def _target(entry: Mapping[str, Any]) -> str:
    """A key by its id or its name, or a kind of credential."""
    key, kind = entry.get("key"), entry.get("kind")
    if (key is None) == (kind is None) or not isinstance(kind if key is None else key, str):
        raise ConfigurationError('say what is retired, by key = "its name or id" or by kind = "key"')
    if key is None:
        return checked_target(f"kind:{kind}")
    by_id = len(key) == _ID_LENGTH and all(sign in "0123456789abcdef" for sign in key)
    return f"key:{key}" if by_id else f"name:{key}"


def _phase(entry: Mapping[str, Any]) -> Phase:
    """Deprecated unless it says something else; with windows a brownout."""
    word = entry.get("phase", "brownout" if entry.get("windows") else "deprecated")
    try:
        return Phase(word)
    except ValueError:
        raise ConfigurationError(f"{word!r} is no phase; write {', '.join(Phase)}") from None


def _window(entry: object) -> Window:
    if not isinstance(entry, Mapping) or entry.keys() - {"start", "end", "every"}:
        raise ConfigurationError('a window is { start = 2027-03-01T09:00:00Z, end = …, every = "week" }')
    start, end = (_moment(entry, name, time.min) for name in ("start", "end"))
    every = entry.get("every")
    if start is None or end is None or not isinstance(every, str | None):
        raise ConfigurationError('a window has a start and an end, and perhaps every = "day" or "week"')
    return Window(start=start, end=end, every=every)  # type: ignore[arg-type]


def _moment(entry: Mapping[str, Any], name: str, of_day: time) -> int | None:
    """Return a date or time of the file in seconds since the epoch; without an offset it is UTC."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, of_day)
    if not isinstance(value, datetime):
        raise ConfigurationError(f"{name} is a date, without quotes, like 2027-03-31 or 2027-03-31T12:00:00Z")
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def _of_type(entry: Mapping[str, Any], name: str, kind: type, otherwise: Any) -> Any:
    value = entry.get(name, otherwise)
    if type(value) is not kind:
        words = {str: "a text in quotes", int: "a whole number", list: "a list", bool: "true or false"}
        raise ConfigurationError(f"{name} is {words[kind]}")
    return value
