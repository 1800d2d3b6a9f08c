"""A forgotten password: another one is chosen by a link that is mailed to the address of the account."""

from __future__ import annotations

from rimlock.features.password_recovery.feature import PasswordRecovery

__all__ = ["PasswordRecovery"]
