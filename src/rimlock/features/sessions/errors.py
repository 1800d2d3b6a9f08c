"""What can go wrong with a refresh token before it is looked at.

Threat: a request that carries two tokens, of which two parties each take another.
Source: RFC 6749 section 5.2 (a parameter given more than once is an error).
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["TwoRefreshTokens"]


class TwoRefreshTokens(AuthError):
    """A refresh token in the cookie and another in the body. Which of them is meant cannot be known."""

    code, status, title = "two_refresh_tokens", 400, "Send the refresh token in the cookie or in the body, not in both."
