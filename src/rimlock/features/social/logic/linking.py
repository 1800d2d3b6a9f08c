"""Identities of somebody who is signed in: which there are, one more, and one less.

Threat: an identity linked to an account by somebody who is not its owner; a login elsewhere that leads to two accounts;
    the last way in taken away, by one request or by two at once.
Source: OWASP ASVS 5.0 V6.8.1, V7.5.1; RFC 9700 section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core import accounts, identities, sessions
from rimlock.core.errors import CredentialInvalid, NotFound
from rimlock.crypto.opaque import digest
from rimlock.features.social.errors import IdentityTaken, LastWayIn

if TYPE_CHECKING:
    from collections.abc import Collection

    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.identities import Identity
    from rimlock.feature import Context
    from rimlock.features.social.logic import transaction
    from rimlock.features.social.logic.persons import Person

__all__ = ["id_of", "link", "linked", "unlink"]


def id_of(identity: Identity) -> str:
    """Return how an identity is named in addresses: nothing of the subject is in it."""
    return digest(f"{identity.issuer}\n{identity.subject}")[:32]


async def linked(context: Context, user_id: str) -> list[Identity]:
    """Return the identities that lead to a user, oldest first."""
    return await context.database.read(lambda tx: identities.of_user(tx, user_id))


async def link(context: Context, begun: transaction.Transaction, person: Person) -> Identity:
    """Let an identity lead to the account that began to link it, if its session goes on as it did.

    Raises CredentialInvalid, IdentityTaken.
    """

    def work(tx: Transaction) -> Identity:
        now = context.now()
        _still(tx, begun, now)
        found = identities.link(
            tx,
            begun.user_id,
            person.issuer,
            person.subject,
            provider=person.provider,
            now=now,
            email=person.email,
            verified=person.proven,
        )
        if found.user_id != begun.user_id:
            raise IdentityTaken
        return found

    return await context.database.write(work)


async def unlink(context: Context, user_id: str, provider: str, which: str, offered: Collection[str]) -> None:
    """Let an identity lead here no more, unless it is the only way in. `offered`: providers one can sign in with.

    Raises NotFound, LastWayIn.
    """

    def work(tx: Transaction) -> None:
        # The standing is held, so that of two at once the second one sees what the first one left.
        account = accounts.standing(tx, user_id, held=True)
        all_of_them = identities.of_user(tx, user_id)
        gone = next((one for one in all_of_them if id_of(one) == which and one.provider == provider), None)
        if account is None or gone is None:
            raise NotFound
        if not _way_in(account, [one for one in all_of_them if one is not gone], offered):
            raise LastWayIn
        identities.unlink(tx, user_id, gone.issuer, gone.subject, now=context.now())

    await context.database.write(work)


def _way_in(account: Account, left: Collection[Identity], offered: Collection[str]) -> bool:
    """Whether somebody can still sign in: by a password, or by an identity of a provider that is offered."""
    return account.password_hash is not None or any(one.provider in offered for one in left)


def _still(tx: Transaction, begun: transaction.Transaction, now: int) -> None:
    account = accounts.standing(tx, begun.user_id, held=True)
    if account is None or not account.active or account.epoch != begun.epoch:
        raise CredentialInvalid
    if not sessions.lives(tx, begun.session_id, begun.user_id, now=now):
        raise CredentialInvalid
