"""Argon2 strings of other systems: plain, and with Django's prefix.

Threat: a stored cost of gigabytes; see `argon` for the limits.
Source: the string form of the argon2 reference implementation; Django's `argon2` hasher. Both hash what was typed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.crypto.passwords import argon
from rimlock.crypto.passwords.encoding import as_typed
from rimlock.crypto.passwords.foreign.form import form

if TYPE_CHECKING:
    import re

__all__ = ["FORMS"]


def _argon2(parts: re.Match[str], password: str) -> None:
    argon.require_match(argon.read(parts["string"]), as_typed(password))


FORMS = (form("argon2", r"(?:argon2)?(?P<string>\$argon2(?:id|i|d)\$.+)", _argon2),)
