"""The full-stack FastAPI template's HTTP dialect over the logic of Rimlock."""

from __future__ import annotations

from rimlock.profiles.full_stack_template.legacy import LegacyTokens
from rimlock.profiles.full_stack_template.people import Member
from rimlock.profiles.full_stack_template.profile import FullStackTemplate

__all__ = ["FullStackTemplate", "LegacyTokens", "Member"]
