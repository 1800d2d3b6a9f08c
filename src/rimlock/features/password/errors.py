"""What passwords and registration are refused for.

Threat: a refusal that repeats the password, or tells a stranger more than the next step.
Source: NIST SP 800-63B-4 section 3.1.1.2 (a reason and guidance are given); RFC 9457.
"""

from __future__ import annotations

from rimlock.core.errors import AuthError, PasswordNotAccepted

__all__ = ["FirstAdminExists", "PasswordNotAccepted"]


class FirstAdminExists(AuthError):
    """The link makes the first administrator, and there is one."""

    code, status, title = "first_admin_exists", 409, "There is an administrator already."
