"""What may be done about a forgotten password, by values and without HTTP.

`request`: mail a link to whoever has an address, and say nothing. `mail_to`: mail one to somebody whose account was
made for them. `look`: see whether a link is good. `reset`: choose another password by it.
"""

from __future__ import annotations

from rimlock.features.password_recovery.logic.asking import mail_to, request
from rimlock.features.password_recovery.logic.resetting import look, reset

__all__ = ["look", "mail_to", "request", "reset"]
