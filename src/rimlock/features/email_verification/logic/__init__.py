"""What may be done about addresses, by values and without HTTP.

`request`: mail a link to whoever has an address, and say nothing. `ask`: the same inside a transaction, for an account
that was just made. `look`: see what a link is for. `confirm`: prove an address. `begin_change`, `confirm_change`: take
another one, and nothing changes before the second.
"""

from __future__ import annotations

from rimlock.features.email_verification.logic.asking import ask, on_account, request
from rimlock.features.email_verification.logic.changing import begin_change, confirm_change, look_at_change
from rimlock.features.email_verification.logic.confirming import AlreadyVerified, Verified, confirm, look

__all__ = [
    "AlreadyVerified",
    "Verified",
    "ask",
    "begin_change",
    "confirm",
    "confirm_change",
    "look",
    "look_at_change",
    "on_account",
    "request",
]
