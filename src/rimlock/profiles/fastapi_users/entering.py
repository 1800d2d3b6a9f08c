"""Who a token of the dialect speaks for, and how one is got, exchanged and ended.

Threat: a token that is read in two ways; an old one that goes on after it was exchanged or its user signed out.
Source: design sections 1 (one door in) and 4; RFC 6749 section 4.3.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rimlock.core.acting import acting, become
from rimlock.core.errors import AuthError, CredentialInvalid, Unavailable
from rimlock.core.login import Pending, Proof, SignedIn, complete, refuse_unverified
from rimlock.core.revocations import hold
from rimlock.core.sessions import Lifetimes
from rimlock.core.tokens import VerifiedTokens
from rimlock.features.password import logic as passwords
from rimlock.features.sessions import logic as sessions
from rimlock.profiles.fastapi_users.legacy import principal_of, spend
from rimlock.profiles.fastapi_users.people import load

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.core.registering import Known
    from rimlock.core.sessions import Device
    from rimlock.feature import Context
    from rimlock.profiles.fastapi_users.ids import Ids
    from rimlock.profiles.fastapi_users.legacy import LegacyTokens
    from rimlock.profiles.fastapi_users.transports import Transport

__all__ = ["Caller", "Tokens", "admitted", "exchange", "sign_in", "sign_out"]

METHOD = "fastapi-users"
"""How a session says that it began with an old token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request acts as, and by which token."""

    known: Known
    principal: Principal
    token: str = field(repr=False)


class Tokens:
    """Reads tokens of the dialect: access tokens of ours, and old ones until their date."""

    def __init__(self, context: Context, legacy: LegacyTokens | None, ids: Ids) -> None:
        """`legacy` None takes no old ones."""
        self._context = context
        self.legacy = legacy
        self._ids = ids
        self._verified = VerifiedTokens()
        context.revocations.on_change.setdefault("signing_key", []).append(lambda _: self._verified.clear())

    async def caller(self, token: str) -> Caller | None:
        """Return who a token speaks for, as the database has them now, None for a bad one. Raises Unavailable."""
        principal = await self.principal(token)
        known = None if principal is None else await load(self._context, principal.user_id or "")
        if principal is None or known is None:
            return None
        become(principal)
        return Caller(known, principal, token)

    async def principal(self, token: str) -> Principal | None:
        """Return who a token speaks for, None for a bad one. Raises Unavailable while revocations are not known."""
        await self._hear()
        if self.legacy is not None and self.legacy.looks_it(token):
            return await self._old(token)
        return self._ours(token.encode("latin-1", errors="replace"))

    def _ours(self, token: bytes) -> Principal | None:
        now, revocations = self._context.clock(), self._context.revocations
        kept = self._verified.get(token, now)
        try:
            principal = kept[0] if kept else self._context.entrance.principal_of(token)
            session = kept[1] if kept else self._verified.put(token, principal)
        except CredentialInvalid:
            return None
        return None if revocations.refuses(session, principal.subject, principal.epoch) else principal

    async def _old(self, token: str) -> Principal | None:
        assert self.legacy is not None  # noqa: S101 - asked by who called
        try:
            claimed = self.legacy.access(token, self._context.clock())
        except CredentialInvalid:
            return None
        context = self._context
        return await context.database.read(lambda tx: principal_of(context, tx, claimed, self._ids))

    async def _hear(self) -> None:
        """Make the memory of revocations complete, as far as is allowed. Raises Unavailable."""
        follower = self._context.follower
        if follower.current() or await follower.revive():
            return
        if self._context.settings.on_stale == "refuse":
            raise Unavailable
        await follower.catch_up()


async def sign_in(
    context: Context, request: Request, login: str, password: str, *, verified_only: bool
) -> SignedIn | Pending:
    """Sign in by address and password, through the one door. Raises InvalidLogin, EmailNotVerified, TooManyAttempts."""
    policies = (refuse_unverified, *context.policies) if verified_only else context.policies
    narrowed = replace(context, policies=policies, lifetimes=_lifetimes(context))
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
        proof = Proof(user_id=principal.subject, method=METHOD, at=now)
        lifetimes = _lifetimes(context)
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


def _lifetimes(context: Context) -> Lifetimes:
    """A session lasts as long as its token: the dialect has nothing to renew one with."""
    seconds = int(context.settings.access_lifetime.total_seconds())
    return Lifetimes(absolute=seconds, idle=seconds, browser=seconds, grace=0)
