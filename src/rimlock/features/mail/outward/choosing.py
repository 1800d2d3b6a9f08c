"""The way out that the settings name.

Threat: a setting that is found to be wrong when the first mail is due.
Source: design section 7 (configuration mistakes are raised at construction).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.features.mail.outward.nearby import Console, Folder
from rimlock.features.mail.outward.sendgrid import SendGrid
from rimlock.features.mail.outward.smtp import Smtp

if TYPE_CHECKING:
    from rimlock.core.mail_url import MailRoute
    from rimlock.features.mail.logic.delivering import Transport

__all__ = ["transport_for"]

_NEEDS = {"smtp": "aiosmtplib", "sendgrid": "httpx2"}


def transport_for(route: MailRoute, *, patience: float) -> Transport | None:
    """Return the way out, None where another process has it. Raises ConfigurationError."""
    library = _NEEDS.get(route.kind)
    if library is not None and find_spec(library) is None:
        raise ConfigurationError(f"mail_url needs {library}; install rimlock[mail]")
    if route.kind == "smtp":
        return Smtp(route, patience=patience)
    if route.kind == "sendgrid":
        return SendGrid(route, patience=patience)
    if route.kind == "file" and route.folder is not None:
        return Folder(route.folder)
    return Console() if route.kind == "console" else None
