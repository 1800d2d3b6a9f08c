"""Whether a password is an account's own: at a sign-in, and again before something that cannot be taken back.

Threat: a damaged hash that lets somebody in; an unlocked screen that is enough to take an account away.
Source: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 V7.5.1 (ask again before sensitive changes).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core.acting import acting
from rimlock.core.errors import CurrentPasswordWrong, PasswordNotAccepted
from rimlock.core.events import Event, Told
from rimlock.crypto.passwords.errors import HashUnreadable, PasswordMismatch, PasswordUnusable, VerifierMissing
from rimlock.crypto.passwords.policy import PasswordRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.accounts import Account
    from rimlock.core.hashing import HashingPool
    from rimlock.core.limits import Limits
    from rimlock.core.principal import Principal
    from rimlock.crypto.passwords.hashes import Verified
    from rimlock.crypto.passwords.policy import PasswordPolicy

__all__ = ["PasswordRecheckFailed", "require_acceptable", "require_current", "verdict"]

_log = logging.getLogger("rimlock.proving")


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRecheckFailed(Event):
    """Somebody signed in was asked for the password again and gave a wrong one."""

    told = Told(outcome="failed")
    user_id: str
    session_id: str


async def verdict(passwords: HashingPool, account: Account | None, password: str) -> Verified | None:
    """Return what verification found, None for a wrong password. Without an account the work is the same.

    A stored form that cannot be read is wrong as well, and the operator is told. Raises Busy, Unavailable.
    """
    try:
        return await passwords.verify(account.password_hash if account else None, password)
    except (PasswordMismatch, PasswordUnusable):
        return None
    except (HashUnreadable, VerifierMissing) as error:
        kind, whose = type(error).__name__, account.user_id if account else "nobody"
        _log.error("the stored password of %s cannot be judged: %s", whose, kind)
        return None


async def require_current(
    limits: Limits, passwords: HashingPool, account: Account, password: str, *, principal: Principal, now: int
) -> None:
    """Return for the account's own password; each try counts for the session.

    Raises CurrentPasswordWrong, TooManyAttempts, Busy, Unavailable.
    """
    async with await limits.recheck(account.user_id, principal.credential_id, acting().address) as attempt:
        if await verdict(passwords, account, password) is not None:
            return
        failed = PasswordRecheckFailed(at=now, user_id=account.user_id, session_id=principal.credential_id)
        await attempt.conclude(lambda tx: tx.emit(failed), failed=lambda _: True)
    raise CurrentPasswordWrong


def require_acceptable(policy: PasswordPolicy, words: Iterable[str | None], password: str, *, field: str) -> None:
    """Return when the new password may be used. `words`: names of its owner, which it may not consist of.

    Raises PasswordNotAccepted, which names the `field`.
    """
    try:
        policy.check(password, words=[word for word in words if word])
    except PasswordRefused as refused:
        found = tuple({"name": field, "code": one.code, "detail": one.text} for one in refused.violations)
        raise PasswordNotAccepted(errors=found) from None
