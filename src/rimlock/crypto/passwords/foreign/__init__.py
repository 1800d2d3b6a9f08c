"""Hashes that other systems stored: read once, at the next sign-in, and then replaced.

Threat: a stored string that was made to eat memory or time; a verifier that accepts more than its origin did.
Source: the formats as their origins write them, each named in its own module.

Nothing here can make a hash of these kinds. Each form is matched whole, its cost is bounded before any work is done,
and a digest that is not of full length is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rimlock.crypto.passwords.errors import HashUnreadable
from rimlock.crypto.passwords.foreign import argons, bcrypts, firebase, pbkdf2s, phpass, scrypts
from rimlock.crypto.passwords.stored import LONGEST

if TYPE_CHECKING:
    from rimlock.crypto.passwords.foreign.form import Form

__all__ = ["FORMS", "kind_of", "require_match"]

FORMS: Final[tuple[Form, ...]] = (
    *argons.FORMS,
    *bcrypts.FORMS,
    *pbkdf2s.FORMS,
    *scrypts.FORMS,
    *phpass.FORMS,
    *firebase.FORMS,
)
"""Every form that can be read, in the order in which they are tried. No string has two of them."""


def require_match(stored: str, password: str) -> None:
    """Return if the password is the one. Raises `PasswordMismatch`, `HashUnreadable`, `PasswordUnusable`."""
    if len(stored) > LONGEST:
        raise HashUnreadable
    for form in FORMS:
        if parts := form.pattern.fullmatch(stored):
            return form.judge(parts, password)
    raise HashUnreadable


def kind_of(stored: str) -> str | None:
    """Return the name of the form a stored string has, None for none."""
    if len(stored) > LONGEST:
        return None
    return next((form.name for form in FORMS if form.pattern.fullmatch(stored)), None)
