"""Secrets that people read out, type in and pass on: groups of letters and digits nobody mistakes for others.

Threat: a password that an administrator thinks up; a code that is guessed, or copied wrongly until somebody gives up.
Source: OWASP ASVS 5.0 V6.4.1 (random initial secrets), V11.5.1 (at least 128 bits).
"""

from __future__ import annotations

from secrets import choice

__all__ = ["canonical", "new_readable"]

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without 0, 1, i, l and o: 31 signs, 4.95 bits each."""

GROUPS, LENGTH = 7, 4


def new_readable() -> str:
    """Return a new secret of 138 random bits, like `k7mq-x2fd-9trw-hs4n-pc8v-3ybe-w5za`."""
    return "-".join("".join(choice(ALPHABET) for _ in range(LENGTH)) for _ in range(GROUPS))


def canonical(typed: str) -> str:
    """Return a secret of this kind as it was made, however its groups were written; other texts stay wrong."""
    signs = "".join(sign for sign in typed.lower() if sign in ALPHABET)
    return "-".join(signs[place : place + LENGTH] for place in range(0, len(signs), LENGTH))
