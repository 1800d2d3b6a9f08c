"""Links that are mailed: made by the features that know how, handed to the application where it mails by itself.

Threat: an answer that tells whether an address has an account, by its time too; an old link that is used twice.
Source: OWASP ASVS 5.0 V6.3.8, V6.5.1; FastAPI Users 15 (`password_fgpt`, `on_after_forgot_password`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from rimlock.core import accounts, challenges
from rimlock.core.acting import acting
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import CredentialInvalid
from rimlock.core.links import key_of
from rimlock.core.registering import Known
from rimlock.crypto.passwords.errors import HashUnreadable, PasswordMismatch, PasswordUnusable, VerifierMissing
from rimlock.features.email_verification import logic as verification
from rimlock.features.email_verification.logic.asking import PURPOSE as VERIFY
from rimlock.features.password_recovery import logic as recovery
from rimlock.features.password_recovery.logic.asking import PURPOSE as RESET
from rimlock.profiles.fastapi_users.legacy import person, spend

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.messages import Message, Post
    from rimlock.feature import Context
    from rimlock.profiles.fastapi_users.ids import Ids
    from rimlock.profiles.fastapi_users.legacy import Claimed, LegacyTokens

__all__ = ["Handed", "ask_to_reset", "ask_to_verify", "reset", "verify"]

CONVERTED_SECONDS = 60
"""How long what an old link was turned into is good: it is used at once."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What the application mails by itself: for whom, and the secret of the link."""

    user_id: str
    token: str = field(repr=False)


class _Kept:
    """A post that keeps one kind of message back, and does all the same work as if it were sent."""

    def __init__(self, post: Post, kind: str) -> None:
        self._post = post
        self._kind = kind
        self.message: Message | None = None

    def __call__(self, tx: Transaction, message: Message, *, void: bool = False) -> None:
        kept = message.kind == self._kind
        if kept and not void:
            self.message = message
        self._post(tx, message, void=void or kept)

    @property
    def handed(self) -> Handed | None:
        """Return what was kept back, None where nobody was to be told."""
        if self.message is None or self.message.user_id is None:
            return None
        link = str(self.message.facts["link"])
        return Handed(self.message.user_id, parse_qs(urlsplit(link).query)["token"][0])


async def ask_to_reset(context: Context, email: str, *, hand_over: bool) -> Handed | None:
    """Mail a link to choose another password, or with `hand_over` return what the application is to mail."""
    kept = _Kept(context.post, "reset_password")
    await recovery.request(replace(context, post=kept) if hand_over else context, email)
    return kept.handed


async def ask_to_verify(context: Context, email: str, *, hand_over: bool) -> Handed | None:
    """Mail a link that proves an address, or with `hand_over` return what the application is to mail."""
    kept = _Kept(context.post, "verify_email")
    await verification.request(replace(context, post=kept) if hand_over else context, email)
    return kept.handed


async def reset(context: Context, token: str, password: str, *, legacy: LegacyTokens | None, ids: Ids) -> Known:
    """Choose another password by a link, new or old. Raises ChallengeRefused, PasswordNotAccepted, TooManyAttempts."""
    if legacy is not None and token.count(".") == 2:  # noqa: PLR2004 - a JWT
        async with await context.limits.secret(RESET, acting().address, ChallengeRefused):
            token = await _reset_converted(context, legacy, token, ids)
    return await recovery.reset(context, token, password)


async def verify(
    context: Context, token: str, *, legacy: LegacyTokens | None, ids: Ids
) -> verification.Verified | verification.AlreadyVerified:
    """Prove an address by a link, new or old. Raises ChallengeRefused, TooManyAttempts."""
    if legacy is not None and token.count(".") == 2:  # noqa: PLR2004 - a JWT
        async with await context.limits.secret(VERIFY, acting().address, ChallengeRefused):
            claimed = _claimed(legacy.verify, token, context)
            found = await context.database.write(lambda tx: _verify_converted(context, tx, claimed, ids))
        if isinstance(found, Known):
            return verification.AlreadyVerified(found)
        token = found
    return await verification.confirm(context, token)


def _claimed(read: object, token: str, context: Context) -> Claimed:
    try:
        found: Claimed = read(token, context.clock())  # type: ignore[operator]
    except CredentialInvalid:
        raise ChallengeRefused from None
    return found


async def _reset_converted(context: Context, legacy: LegacyTokens, token: str, ids: Ids) -> str:
    """Turn an old link into one of ours. It was made under the stored hash, and is good while that is the same.

    So it is used up with the change, which replaces the hash; of two at once the second meets another epoch.
    """
    claimed = _claimed(legacy.reset, token, context)
    known = await context.database.read(lambda tx: _acting(context, tx, claimed, ids))
    try:
        await context.passwords.verify(str(claimed.claims.get("password_fgpt")), known.account.password_hash or "")
    except (PasswordMismatch, HashUnreadable, PasswordUnusable, VerifierMissing):
        raise ChallengeRefused from None
    bound: dict[str, str | int] = {"email": key_of(known.user.email), "epoch": known.account.epoch}
    return await context.database.write(lambda tx: _issued(context, tx, RESET, known.user.id, bound))


def _verify_converted(context: Context, tx: Transaction, claimed: Claimed, ids: Ids) -> str | Known:
    """Turn an old link into one of ours, once; or return whose address was proven before."""
    known, now = _acting(context, tx, claimed, ids), context.now()
    email = key_of(str(claimed.claims.get("email")))
    if email != key_of(known.user.email):
        raise ChallengeRefused
    if known.account.verified:
        return known
    if not spend(tx, claimed, now=now, user_id=known.user.id):
        raise ChallengeRefused
    return _issued(context, tx, VERIFY, known.user.id, {"email": email})


def _acting(context: Context, tx: Transaction, claimed: Claimed, ids: Ids) -> Known:
    user = person(context, tx, claimed.user, ids)
    account = None if user is None else accounts.standing(tx, user.id)
    if user is None or account is None or not account.active or account.waiting or account.password_hash is None:
        raise ChallengeRefused
    return Known(user, account)


def _issued(context: Context, tx: Transaction, purpose: str, user_id: str, bound: dict[str, str | int]) -> str:
    return challenges.issue(
        tx, purpose, now=context.now(), seconds=CONVERTED_SECONDS, user_id=user_id, data=dict(bound)
    )
