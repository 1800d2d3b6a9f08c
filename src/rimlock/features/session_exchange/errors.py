"""What can go wrong with an exchange.

Threat: none of its own.
Source: design section 7 (errors as data).
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["OldSessionInvalid"]


class OldSessionInvalid(AuthError):
    """The application knows no session in this request, or nobody who may sign in has it. Which is not told."""

    code, status, title = "old_session_invalid", 401, "There is no session to exchange."
