"""What can go wrong with keys beyond what the doors say already.

Threat: keys without number, made by whoever holds one token for a minute.
Source: OWASP ASVS 5.0 V2.3.2 (documented limits).
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["TooManyKeys"]


class TooManyKeys(AuthError):
    """The user has as many living keys as anyone may have. One has to be revoked first."""

    code, status, title = "too_many_keys", 409, "There are too many keys already; revoke one first."
