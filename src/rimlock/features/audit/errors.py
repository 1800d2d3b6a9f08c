"""What can be wrong with a question to the audit.

Threat: a page that begins somewhere else than the reader believes.
Source: design section 6 (cursors).
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["CursorInvalid"]


class CursorInvalid(AuthError):
    """The text is no cursor: neither `next` of an earlier page, nor made of the time and the id of a row."""

    code, status, title = "cursor_invalid", 422, "This is not a cursor of the audit."
