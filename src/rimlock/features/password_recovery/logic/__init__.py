"""What may be done about a forgotten password, by values and without HTTP.

`request`: mail a link to whoever has an address, and say nothing. `look`: see whether a link is good. `reset`: choose
another password by it.
"""

from __future__ import annotations

from rimlock.features.password_recovery.logic.asking import request
from rimlock.features.password_recovery.logic.resetting import look, reset

__all__ = ["look", "request", "reset"]
