"""`routes.lock`: the claims of all routes, a line for each, to be committed and read in a review.

Threat: a rule dropped in a change that nobody reads, as nothing of it is in the diff; a name that rewrites the diff.
Source: https://toml.io/en/v1.0.0; https://trojansource.codes (bidirectional controls in reviewed text).
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from rimlock.core.access import Stage, end_of
from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.audit.claims import EVERYBODY, LADDER, Claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from rimlock.retrofit.audit.inventory import AuditedRoute

__all__ = ["Locked", "claims_of", "read_lock", "write_lock"]

VERSION = 2
WITHOUT_CHECKS = 1
"""The version that did not name the host's own checks."""
OPENING = """\
# Who may reach which route, by configuration (code and rule file). Commit this file.
#   rimlock routes --app … --check    fails when a route is new, unstated or weaker than here
#   rimlock routes --app … --write    writes it anew
"""

Locked = dict[str, Claim]
"""Claims by route, like `GET /items/{id}`."""

_SETS = ("credentials", "roles", "permissions", "scopes")
_KNOWN = {"stage", "share", "stated", "fresh", "until", "function", "checks", *_SETS}
_READ = (WITHOUT_CHECKS, VERSION)
_BEYOND_BMP = 0xFFFF


def claims_of(routes: Iterable[AuditedRoute], *, running: bool = False) -> Locked:
    """Return the claims of the host's routes. Of a route that is there twice the one counts that is reached."""
    from rimlock.retrofit.audit.claims import claim_of

    claims: Locked = {}
    for route in routes:
        if not route.ours:
            claims.setdefault(route.name, claim_of(route, running=running))
    return claims


def write_lock(claims: Mapping[str, Claim]) -> str:
    """Return the text of the file: sorted, a line for each route, in printable characters alone."""
    lines = [f"{_quoted(name)} = {_inline(_fields(claims[name]))}" for name in sorted(claims, key=_by_path)]
    return "\n".join([f"{OPENING}version = {VERSION}", "", "[routes]", *lines, ""])


def read_lock(path: Path) -> Locked:
    """Read the file. Raises ConfigurationError that names the place."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path.name} is not there; `rimlock routes --write` makes it") from None
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: {error}") from None
    version = content.get("version")
    if version not in _READ or isinstance(version, bool) or not isinstance(content.get("routes"), dict):
        raise ConfigurationError(f"{path.name} is of another version; `rimlock routes --write` makes it anew")
    claims = {name: _claim(fields, f"{path.name}: {name}") for name, fields in content["routes"].items()}
    if version == WITHOUT_CHECKS:
        return {name: replace(claim, checks=None) for name, claim in claims.items()}
    return claims


def _by_path(name: str) -> tuple[str, str]:
    method, _, path = name.partition(" ")
    return path, method


def _fields(claim: Claim) -> Iterator[tuple[str, Any]]:
    """Yield what is worth writing: what asks for nothing is left out."""
    if len(claim.shares) == 1:
        yield "stage", next(iter(claim.shares))
    else:
        yield "share", {one.value: claim.shares[one.value] for one in LADDER if one.value in claim.shares}
    if not claim.stated:
        yield "stated", False
    yield from ((name, sorted(held)) for name in _SETS if (held := getattr(claim, name)))
    if claim.fresh is not None:
        yield "fresh", claim.fresh
    if claim.until is not None:
        yield "until", _day(claim.until)
    if claim.inside:
        yield "function", sorted(claim.inside)
    if claim.checks:
        yield "checks", sorted(claim.checks)


def _day(seconds: int) -> date | datetime:
    """Return the day a moment ends, or the moment itself where it is inside a day."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.date() if end_of(moment.date()) == seconds else moment


def _inline(fields: Iterable[tuple[str, Any]]) -> str:
    return "{ " + ", ".join(f"{name} = {_value(value)}" for name, value in fields) + " }"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return _inline(value.items())
    if isinstance(value, list):
        return f"[{', '.join(map(_quoted, value))}]"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(sign: str) -> str:
    """What cannot be seen is spelt out; half a pair, which no file could hold, becomes the replacement character."""
    if sign in '"\\':
        return "\\" + sign
    if sign.isprintable():
        return sign
    if "\ud800" <= sign <= "\udfff":
        return "\\uFFFD"
    return f"\\U{ord(sign):08X}" if ord(sign) > _BEYOND_BMP else f"\\u{ord(sign):04X}"


def _claim(fields: Any, place: str) -> Claim:
    if not isinstance(fields, dict) or fields.keys() - _KNOWN:
        raise ConfigurationError(f"{place} is not understood; `rimlock routes --write` makes the file anew")
    until = _typed(fields, "until", date, None, place)
    return Claim(
        shares=_shares(fields, place),
        stated=_typed(fields, "stated", bool, True, place),  # noqa: FBT003 - the value that is left out
        fresh=_typed(fields, "fresh", int, None, place),
        until=None if until is None else end_of(until),
        inside=_words(fields, "function", place),
        checks=_words(fields, "checks", place),
        **{name: _words(fields, name, place) for name in _SETS},
    )


def _typed(fields: Mapping[str, Any], name: str, kind: type, missing: Any, place: str) -> Any:
    """Return one field. What is of another type is refused: taken for nothing, it would claim that nothing is asked."""
    value = fields.get(name, missing)
    if value is not missing and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise _not_understood(name, place)
    return value


def _not_understood(name: str, place: str) -> ConfigurationError:
    return ConfigurationError(f"{place}: {name} is not understood; `rimlock routes --write` makes the file anew")


def _shares(fields: Mapping[str, Any], place: str) -> dict[str, int]:
    stage = fields.get("stage")
    shares = {stage: EVERYBODY} if isinstance(stage, str) else fields.get("share")
    known = {stage.value for stage in Stage}
    well = isinstance(shares, dict) and shares.keys() <= known and all(_is_share(one) for one in shares.values())
    if not isinstance(shares, dict) or not well or sum(shares.values()) != EVERYBODY:
        raise ConfigurationError(f"{place}: the stage is not understood; `rimlock routes --write` makes the file anew")
    return shares


def _is_share(value: object) -> bool:
    return isinstance(value, int) and 0 < value <= EVERYBODY


def _words(fields: Mapping[str, Any], name: str, place: str) -> frozenset[str]:
    value: list[Any] = _typed(fields, name, list, [], place)
    if not all(isinstance(word, str) for word in value):
        raise _not_understood(name, place)
    return frozenset(value)
