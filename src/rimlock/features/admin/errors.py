"""What administrators are refused for.

Threat: an administrator who shuts themselves out by a slip, or keeps their account out of others' sight.
Source: OWASP ASVS 5.0 V6.4.6, V8.3.2.
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["OwnAccount"]


class OwnAccount(AuthError):
    """Administrators do not do this to themselves; another one does."""

    code, status, title = "own_account", 409, "Another administrator has to do this to your account."
