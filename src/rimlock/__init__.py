"""Rimlock: accounts, tokens and access rules for an application that already runs."""

from __future__ import annotations

from rimlock.auth import Rimlock
from rimlock.core.access import Requirement, Rule, Stage
from rimlock.core.errors import AuthError, ConfigurationError
from rimlock.core.events import Event
from rimlock.core.login import Allow, Deny, Policy
from rimlock.core.principal import Principal
from rimlock.core.users import User
from rimlock.feature import Context, Feature
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
    "Context",
    "CurrentPrincipal",
    "CurrentUser",
    "Deny",
    "Event",
    "Feature",
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
