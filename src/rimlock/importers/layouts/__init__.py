"""The systems that accounts can come from, by the name the command knows them by.

Threat: see the modules; each names its own.
Source: design section 2 (importers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.importers.layouts.better_auth import BetterAuth
from rimlock.importers.layouts.django import Django
from rimlock.importers.layouts.fastapi_users import FastAPIUsers
from rimlock.importers.layouts.fastlaunch import FastLaunch
from rimlock.importers.layouts.full_stack_template import FullStackTemplate

if TYPE_CHECKING:
    from rimlock.importers.origin import Layout

__all__ = ["LAYOUTS"]

LAYOUTS: dict[str, type[Layout]] = {
    "fastapi-users": FastAPIUsers,
    "fastlaunch": FastLaunch,
    "full-stack-template": FullStackTemplate,
    "better-auth": BetterAuth,
    "django": Django,
}
