"""What may be done with passwords, and in which order. No HTTP in here."""

from __future__ import annotations

from rimlock.core.registering import Known
from rimlock.features.password.logic.changing import change_email, change_password
from rimlock.features.password.logic.forced import choose_password
from rimlock.features.password.logic.making import (
    check_first_admin,
    create_user,
    first_admin_link,
    make_first_admin,
    register,
)
from rimlock.features.password.logic.signing_in import sign_in

__all__ = [
    "Known",
    "change_email",
    "change_password",
    "check_first_admin",
    "choose_password",
    "create_user",
    "first_admin_link",
    "make_first_admin",
    "register",
    "sign_in",
]
