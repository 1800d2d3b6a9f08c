"""The kind of message that says nothing but that mails arrive.

Threat: none of its own.
Source: design section 3 (Message).
"""

from __future__ import annotations

from rimlock.core.messages import MessageKind

__all__ = ["TEMPLATES", "TEST"]

TEMPLATES = "rimlock.features.mail.templates"
"""Where the layout of all mails lies, and this kind's templates."""

TEST = MessageKind(name="test", package=TEMPLATES, example={})
