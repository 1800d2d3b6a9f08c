"""Rimlock: accounts, tokens and access rules for an application that already runs.

A name is imported when it is first asked for, so that a command that needs none of them starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rimlock.auth import Rimlock
    from rimlock.core.access import Requirement, Rule, Stage
    from rimlock.core.errors import AuthError, ConfigurationError
    from rimlock.core.events import Event
    from rimlock.core.login import Allow, Deny, Policy
    from rimlock.core.mapped_users import MappedUsers
    from rimlock.core.principal import Principal
    from rimlock.core.users import User
    from rimlock.feature import Feature
    from rimlock.settings import DESKTOP_ORIGINS, Settings
    from rimlock.web.dependencies import (
        CurrentPrincipal,
        CurrentUser,
        OptionalPrincipal,
        OptionalUser,
        fresh,
        require_any_role,
        require_permission,
        require_role,
        require_scope,
    )

__all__ = [
    "DESKTOP_ORIGINS",
    "Allow",
    "AuthError",
    "ConfigurationError",
    "CurrentPrincipal",
    "CurrentUser",
    "Deny",
    "Event",
    "Feature",
    "MappedUsers",
    "OptionalPrincipal",
    "OptionalUser",
    "Policy",
    "Principal",
    "Requirement",
    "Rimlock",
    "Rule",
    "Settings",
    "Stage",
    "User",
    "fresh",
    "require_any_role",
    "require_permission",
    "require_role",
    "require_scope",
]

_HOMES = {
    "rimlock.auth": {"Rimlock"},
    "rimlock.core.access": {"Requirement", "Rule", "Stage"},
    "rimlock.core.errors": {"AuthError", "ConfigurationError"},
    "rimlock.core.events": {"Event"},
    "rimlock.core.login": {"Allow", "Deny", "Policy"},
    "rimlock.core.mapped_users": {"MappedUsers"},
    "rimlock.core.principal": {"Principal"},
    "rimlock.core.users": {"User"},
    "rimlock.feature": {"Feature"},
    "rimlock.settings": {"DESKTOP_ORIGINS", "Settings"},
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name of the façade, once. Raises AttributeError for any other name."""
        if name not in __all__:
            raise AttributeError(f"module 'rimlock' has no attribute {name!r}")
        home = next((home for home, names in _HOMES.items() if name in names), "rimlock.web.dependencies")
        globals()[name] = found = getattr(import_module(home), name)
        return found
