"""What one check found, in the words of an operator.

Threat: a finding that says that something is wrong and not what to do; one that shows the secret it is about.
Source: OWASP ASVS 5.0 V16.5.1 (messages tell nothing sensitive).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rimlock.core.errors import AuthError, ConfigurationError
from rimlock.crypto.sealing import SealBroken

__all__ = ["EXPECTED", "Finding", "Say", "State"]

State = Literal["ok", "warn", "fail"]
Say = Callable[[Exception], str]
"""Puts an expected failure into words."""

EXPECTED = (AuthError, ConfigurationError, SealBroken)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `text`: what it is; `why`: why that matters; `mend`: what to do. No `ok` has these."""

    name: str
    state: State
    text: str
    why: str = ""
    mend: str = ""
