"""Signs a user in without a password, through the same door as every real sign-in.

Threat: a test that makes its own token, and so passes where a policy, a disabled account or a revocation would refuse.
Source: design sections 1 (one door in) and 2 (shipped to users).
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal

from rimlock.core import accounts
from rimlock.core.errors import AuthError, PasswordChangeRequired
from rimlock.core.login import Pending, Proof, SignedIn, complete
from rimlock.core.sessions import Device
from rimlock.core.users import NewUser, User

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.auth import Rimlock
    from rimlock.core.database import Transaction

__all__ = ["Visitor", "sign_in", "sign_in_async"]

METHOD = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who is signed in. `refresh_token` is None where the device keeps it in a cookie."""

    user: User
    session_id: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What a request of theirs carries."""
        return {"Authorization": f"Bearer {self.access_token}"}


def sign_in(
    auth: Rimlock,
    client: Any = None,
    *,
    roles: Iterable[str] | None = None,
    email: str = "ann@example.com",
    device: Device | None = None,
) -> Visitor:
    """Sign in the user with this email, made if there is none; for synchronous tests.

    `client`: a TestClient inside its `with`, or any portal with `call`; None runs a loop of its own for a moment.
    `roles`: set for the account when given. No password is asked for; everything after the proof is as always:
    policies decide, events are told, the token can be revoked. Raises the AuthError a refused sign-in gives.
    """
    portal = getattr(client, "portal", client)
    with start_blocking_portal() if portal is None else nullcontext(portal) as running:
        visitor: Visitor = running.call(lambda: sign_in_async(auth, roles=roles, email=email, device=device))
        return visitor


async def sign_in_async(
    auth: Rimlock,
    *,
    roles: Iterable[str] | None = None,
    email: str = "ann@example.com",
    device: Device | None = None,
) -> Visitor:
    """Sign in as `sign_in` does; for asynchronous tests."""
    await auth.start()
    names = None if roles is None else frozenset(roles)

    def work(tx: Transaction) -> tuple[User, SignedIn | Pending | AuthError]:
        user = _account(tx, auth, email, names)
        return user, _completed(tx, auth, user.id, device or Device())

    user, outcome = await auth.database.write(work)
    if isinstance(outcome, AuthError):
        raise outcome
    if isinstance(outcome, Pending):
        raise PasswordChangeRequired
    answer = json.loads(bytes(auth.context.entrance.admit(outcome).body))
    return Visitor(
        user=user,
        session_id=outcome.session.id,
        access_token=answer["access_token"],
        refresh_token=answer.get("refresh_token"),
    )


def _account(tx: Transaction, auth: Rimlock, email: str, roles: frozenset[str] | None) -> User:
    """Find the user or make one, with a standing that has the wanted roles."""
    users, now = auth.context.users, auth.context.now()
    user = users.find(tx, email) or users.create(tx, NewUser(email=email), now)
    standing = accounts.standing(tx, user.id)
    if standing is None:
        accounts.open_account(tx, user.id, now=now, roles=roles or ())
    elif roles is not None and roles != standing.roles:
        accounts.set_roles(tx, user.id, roles, now=now)
    return user


def _completed(tx: Transaction, auth: Rimlock, user_id: str, device: Device) -> SignedIn | Pending | AuthError:
    context = auth.context
    now = context.now()
    proof = Proof(user_id=user_id, method=METHOD, at=now)
    return complete(tx, proof, device=device, lifetimes=context.lifetimes, policies=context.policies, now=now)
