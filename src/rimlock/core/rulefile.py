"""`rimlock.toml`: stages, requirements, roles and keys to import, read once and strictly.

Threat: a misspelt word that quietly leaves a route open.
Source: design section 5; https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, get_args

from rimlock.core.access import Permissions, Requirement, Rule, Stage
from rimlock.core.errors import ConfigurationError
from rimlock.core.principal import CredentialKind
from rimlock.core.retire_tables import MEMBERS, retirement_of
from rimlock.core.retirements import Retirement

__all__ = ["ImportedKey", "RuleFile", "read_rule_file"]


WHOLE = 100
"""Percent of the callers a rule holds for that names no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedKey:
    """A key that callers hold already: its value is in the environment variable `env`."""

    name: str
    env: str
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """What the file says. `default` None leaves the default stage to the settings."""

    default: Stage | None = None
    rules: tuple[Rule, ...] = ()
    permissions: Permissions = field(default_factory=Permissions)
    keys: tuple[ImportedKey, ...] = ()
    retirements: tuple[Retirement, ...] = ()


def read_rule_file(path: Path) -> RuleFile:
    """Read the file. Raises ConfigurationError that names the place."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path.name} is not there; create it, or leave `config` out") from None
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: {error}") from None
    return parse_rules(content, path.name)


def parse_rules(content: Mapping[str, Any], name: str = "rimlock.toml") -> RuleFile:
    """Turn the content of the file into values. Raises ConfigurationError."""
    _only(content, {"default", "route", "roles", "key", "retire"}, name)
    return RuleFile(
        default=_stage(content["default"], name) if "default" in content else None,
        rules=tuple(rule for place, entry in _tables(content, "route", name) for rule in _rules(entry, place, name)),
        permissions=Permissions(
            {role: _words(held, f"{name}: roles.{role}") for role, held in _roles(content, name).items()}
        ),
        keys=tuple(_key(entry, place) for place, entry in _tables(content, "key", name)),
        retirements=tuple(_retirement(entry, place, name) for place, entry in _tables(content, "retire", name)),
    )


def _rules(entry: Mapping[str, Any], place: str, name: str) -> list[Rule]:
    _only(
        entry, {"match", "stage", "credentials", "roles", "permissions", "scopes", "fresh", "percent", "until"}, place
    )
    stage = _stage(entry["stage"], place) if "stage" in entry else None
    requirement = _requirement(entry, place)
    patterns = _patterns(entry.get("match", ()), place)
    try:
        return [
            Rule(pattern=pattern, stage=stage, requirement=requirement, source=name, **_extent(entry, stage, place))
            for pattern in patterns
        ]
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def _extent(entry: Mapping[str, Any], stage: Stage | None, place: str) -> dict[str, Any]:
    """Return for how many callers the stage holds, and until when it is meant to."""
    given = {name: entry[name] for name in ("percent", "until") if name in entry}
    if given and stage is None:
        raise ConfigurationError(f"{place}: {' and '.join(given)} says something of a stage; name the stage too")
    percent, until = given.get("percent", WHOLE), given.get("until")
    if type(percent) is not int:
        raise ConfigurationError(f"{place}: percent is a whole number from 0 to 100")
    if until is not None and not isinstance(until, date):
        raise ConfigurationError(f"{place}: until is a date without quotes, like 2027-01-31")
    if until is not None and stage is Stage.REQUIRED and percent == WHOLE:
        raise ConfigurationError(f"{place}: required lets nobody through, so it needs no end; leave until out")
    return given


def _patterns(match: object, place: str) -> Sequence[str]:
    if not match:
        raise ConfigurationError(f'{place}: say which routes with match = "GET /items/{{id}}"')
    if isinstance(match, str):
        return [match]
    if not isinstance(match, list) or not all(isinstance(pattern, str) for pattern in match):
        raise ConfigurationError(f"{place}: match is a pattern or a list of patterns")
    return match


def _requirement(entry: Mapping[str, Any], place: str) -> Requirement | None:
    if not entry.keys() & {"credentials", "roles", "permissions", "scopes", "fresh"}:
        return None
    kinds = _words(entry.get("credentials", ()), f"{place}: credentials")
    if unknown := kinds - set(get_args(CredentialKind)):
        raise ConfigurationError(
            f"{place}: {', '.join(sorted(unknown))} is no kind of credential; write token, key or external"
        )
    fresh = entry.get("fresh")
    if fresh is not None and (type(fresh) is not int or fresh <= 0):
        raise ConfigurationError(f"{place}: fresh is a number of seconds")
    return Requirement(
        credentials=kinds,  # type: ignore[arg-type]
        any_role=_words(entry.get("roles", ()), f"{place}: roles"),
        permissions=_words(entry.get("permissions", ()), f"{place}: permissions"),
        scopes=_words(entry.get("scopes", ()), f"{place}: scopes"),
        fresh=fresh,
    )


def _key(entry: Mapping[str, Any], place: str) -> ImportedKey:
    _only(entry, {"name", "env", "scopes", "roles"}, place)
    if not isinstance(entry.get("name"), str) or not isinstance(entry.get("env"), str):
        raise ConfigurationError(f"{place}: a key needs a name, and env, the environment variable that holds it")
    return ImportedKey(
        name=entry["name"],
        env=entry["env"],
        scopes=_words(entry.get("scopes", ()), f"{place}: scopes"),
        roles=_words(entry.get("roles", ()), f"{place}: roles"),
    )


def _retirement(entry: Mapping[str, Any], place: str, name: str) -> Retirement:
    _only(entry, set(MEMBERS), place)
    return retirement_of(entry, place, name)


def _stage(value: object, place: str) -> Stage:
    try:
        return Stage(value)  # type: ignore[arg-type]
    except ValueError:
        raise ConfigurationError(f"{place}: {value!r} is no stage; write open, observe, optional or required") from None


def _tables(content: Mapping[str, Any], member: str, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    entries = content.get(member, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{name}: write [[{member}]], with two brackets")
    return [(f"{name}, {member} {place}", entry) for place, entry in enumerate(entries, 1)]


def _roles(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    roles = content.get("roles", {})
    if not isinstance(roles, dict):
        raise ConfigurationError(f'{name}: write [roles], and below it role = ["area:action"]')
    return roles


def _words(value: object, place: str) -> frozenset[str]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(word, str) for word in value):
        raise ConfigurationError(f"{place}: write a list of words in quotes")
    return frozenset(value)


def _only(content: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := set(content) - known:
        raise ConfigurationError(
            f"{place}: {', '.join(sorted(unknown))} is not known; known are {', '.join(sorted(known))}"
        )
