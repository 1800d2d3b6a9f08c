"""How a token of the dialect is got, exchanged and ended.

Threat: a token that is read in two ways; an old one that goes on after it was exchanged or its user signed out.
Source: design sections 1 (one door in) and 4; RFC 6749 section 4.3.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from rimlock.core.acting import acting
from rimlock.core.errors import AuthError, CredentialInvalid
from rimlock.core.login import Pending, Proof, SignedIn, complete, refuse_unverified
from rimlock.core.revocations import hold
from rimlock.features.password import logic as passwords
from rimlock.features.sessions import logic as sessions
from rimlock.profiles.fastapi_users.legacy import principal_of, spend
from rimlock.profiles.tokens import Caller, Tokens, token_long

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from rimlock.core.database import Transaction
    from rimlock.core.sessions import Device
    from rimlock.feature import Context
    from rimlock.profiles.fastapi_users.ids import Ids
    from rimlock.profiles.fastapi_users.legacy import LegacyTokens
    from rimlock.profiles.fastapi_users.transports import Transport

__all__ = ["Caller", "Tokens", "admitted", "exchange", "sign_in", "sign_out"]

METHOD = "fastapi-users"
"""How a session says that it began with an old token."""


async def sign_in(
    context: Context, request: Request, login: str, password: str, *, verified_only: bool
) -> SignedIn | Pending:
    """Sign in by address and password, through the one door. Raises InvalidLogin, EmailNotVerified, TooManyAttempts."""
    policies = (refuse_unverified, *context.policies) if verified_only else context.policies
    narrowed = replace(context, policies=policies, lifetimes=token_long(context))
    return await passwords.sign_in(narrowed, login, password, _device(context, request))


async def exchange(context: Context, request: Request, token: str, *, legacy: LegacyTokens, ids: Ids) -> SignedIn:
    """Give a session for an old token, which is spent by that. Raises CredentialInvalid, a policy's error."""
    device = _device(context, request)

    def work(tx: Transaction) -> SignedIn | Pending | AuthError:
        now = context.now()
        hold(tx)
        principal = principal_of(context, tx, claimed, ids)
        if principal is None or not spend(tx, claimed, now=now, user_id=principal.subject):
            return CredentialInvalid()
        # When they signed in, the old token does not say: for what needs a recent sign-in, too long ago.
        proof = Proof(user_id=principal.subject, method=METHOD, at=0)
        lifetimes = token_long(context)
        return complete(tx, proof, device=device, lifetimes=lifetimes, policies=context.policies, now=now)

    async with await context.limits.secret("exchange", acting().address, CredentialInvalid):
        claimed = legacy.access(token, context.clock())
        outcome = await context.database.write(work)
        if not isinstance(outcome, SignedIn):
            raise outcome if isinstance(outcome, AuthError) else CredentialInvalid
    return outcome


async def sign_out(context: Context, caller: Caller, legacy: LegacyTokens | None) -> None:
    """End the session of a token, or the old token itself, for good."""
    if caller.principal.kind == "token":
        return await sessions.sign_out(context, [caller.principal.credential_id])
    if legacy is None:
        raise CredentialInvalid
    claimed, user_id = legacy.access(caller.token, context.clock()), caller.known.user.id
    await context.database.write(lambda tx: spend(tx, claimed, now=context.now(), user_id=user_id))
    return None


def admitted(context: Context, outcome: SignedIn | Pending, transport: Transport) -> Response:
    """Return the answer to a sign-in, as the transport has it. A pending one is answered as everywhere else."""
    answer = context.entrance.admit(outcome)
    if isinstance(outcome, Pending):
        return answer
    given = json.loads(bytes(answer.body))
    return transport.signed_in(given["access_token"], given["expires_in"])


def _device(context: Context, request: Request) -> Device:
    return context.device(request, True, "body")  # noqa: FBT003 - positional by the seam
