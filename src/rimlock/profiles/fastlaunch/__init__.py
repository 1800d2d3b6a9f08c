"""The HTTP dialect of the LAUNCH authentication API, over the logic of Rimlock."""

from __future__ import annotations

from rimlock.profiles.fastlaunch.desk import DOCUMENTED
from rimlock.profiles.fastlaunch.profile import FastLaunch

__all__ = ["DOCUMENTED", "FastLaunch"]
