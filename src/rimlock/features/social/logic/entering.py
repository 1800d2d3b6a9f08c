"""From a person a provider vouches for to an account: the one it leads to, one both sides proved, or a new one.

Threat: an account taken over through an address nobody proved; one that was prepared for its victim; two accounts of
    one person in a race; an account told to somebody who only claims its address.
Source: A. Sudhodanan, A. Paverd: Pre-hijacked Accounts (USENIX Security 2022); OpenID Connect Core 1.0 section 5.7;
    OWASP ASVS 5.0 V6.3.8, V6.8.1.

Only the issuer and the subject lead to an account. An address links once, when the provider proved it and the account
did; what the provider says later changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rimlock.core import accounts, identities, invitations
from rimlock.core.acting import acting
from rimlock.core.errors import AuthError, InvalidRequest
from rimlock.core.invitations import InvitationInvalid
from rimlock.core.login import Proof, complete
from rimlock.core.normal import display_form, email_forms
from rimlock.core.registering import RegistrationClosed, open_user
from rimlock.core.revocations import hold
from rimlock.core.users import NewUser, RegistrationConflict
from rimlock.features.social.errors import AccountExists, AddressMissing

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.identities import Identity
    from rimlock.core.login import Pending, SignedIn
    from rimlock.core.registering import Origin
    from rimlock.core.sessions import Device
    from rimlock.feature import Context
    from rimlock.features.social.logic.persons import Person

__all__ = ["METHOD", "enter"]

METHOD = "social"
"""How a session says that somebody else vouched for its user."""

Spend = Callable[["Transaction"], Any]


async def enter(
    context: Context,
    person: Person,
    device: Device,
    *,
    invitation: str | None = None,
    spend: Spend = lambda _: None,
) -> SignedIn | Pending:
    """Start a session for a person, making the account where there is none and anybody may.

    `spend`: what is used up in the same transaction; it may refuse. Raises AccountExists, AddressMissing,
    RegistrationClosed, InvitationInvalid, RegistrationConflict, TooManyAttempts, and what a sign-in is refused for.
    """
    known = await context.database.read(lambda tx: identities.find(tx, person.issuer, person.subject))
    if known is not None:
        return await _entered(context, person, device, invitation, spend)
    wrong = InvitationInvalid, RegistrationConflict, AccountExists
    async with await context.limits.visit("register", acting().address, *wrong):
        try:
            return await _entered(context, person, device, invitation, spend)
        except RegistrationConflict:
            # Another tab of theirs made the account at this moment: now it leads there.
            return await _entered(context, person, device, invitation, spend)


async def _entered(
    context: Context, person: Person, device: Device, invitation: str | None, spend: Spend
) -> SignedIn | Pending:
    outcome = await context.database.write(lambda tx: _begin(context, tx, person, device, invitation, spend))
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


def _begin(
    context: Context, tx: Transaction, person: Person, device: Device, invitation: str | None, spend: Spend
) -> SignedIn | Pending | AuthError:
    now = context.now()
    if context.policies:  # a policy may end sessions, and what announces takes the journal before any row
        hold(tx)
    spend(tx)
    identity = identities.find(tx, person.issuer, person.subject) or _linked(context, tx, person, invitation)
    identities.used(tx, identity, now=now)
    proof = Proof(user_id=identity.user_id, method=METHOD, at=now)
    return complete(tx, proof, device=device, lifetimes=context.lifetimes, policies=context.policies, now=now)


def _linked(context: Context, tx: Transaction, person: Person, invitation: str | None) -> Identity:
    """Let the identity lead to the account of its address, or to a new one. Raises what `enter` raises."""
    if not _is_address(person.email):
        raise AddressMissing
    user_id = _whose(context, tx, person) or _made(context, tx, person, invitation)
    made = identities.link(
        tx,
        user_id,
        person.issuer,
        person.subject,
        provider=person.provider,
        now=context.now(),
        email=person.email,
        verified=person.proven,
    )
    if made.user_id != user_id:  # somebody was first, a moment ago; nothing of this attempt may stay
        raise RegistrationConflict
    return made


def _whose(context: Context, tx: Transaction, person: Person) -> str | None:
    """Return whose the address is, if both sides proved it. None when nobody has it.

    Who proved nothing learns what a registration would say. Raises RegistrationConflict, AccountExists.
    """
    user = context.users.find(tx, person.email)
    if user is None:
        return None
    if not person.proven:
        raise RegistrationConflict
    account = accounts.standing(tx, user.id, held=True)
    if account is None or not account.verified:
        raise AccountExists
    return user.id


def _made(context: Context, tx: Transaction, person: Person, code: str | None) -> str:
    """Make an account without a password, by the rules of registration. Raises what `enter` raises."""
    mode, now = context.settings.registration, context.now()
    new = NewUser(email=person.email, display_name=_shown(person.display_name))
    if mode == "closed":
        raise RegistrationClosed
    if mode == "invitation" and code is None:
        raise InvitationInvalid
    if code is None:
        by: Origin = "approval" if mode == "approval" else "social"
        return open_user(context.users, tx, new, now=now, by=by, verified=person.proven).user.id
    taken = invitations.take(tx, code, person.email, now=now)
    return open_user(
        context.users,
        tx,
        new,
        now=now,
        by="invitation",
        verified=person.proven,
        roles=taken.roles,
        invitation_id=taken.id,
    ).user.id


def _is_address(email: str) -> bool:
    try:
        email_forms(email)
    except InvalidRequest:
        return False
    return True


def _shown(name: str) -> str:
    try:
        return display_form(name)
    except InvalidRequest:
        return ""
