"""Links that are mailed: a one-time secret, bound to a user and an address, on its way to a page.

Threat: a link that a request's own headers lead elsewhere; an account told from none by what is done for it; a mailbox
    that is flooded; a link that outlives the address, or whatever else it was made under.
Source: OWASP ASVS 5.0 V6.3.8, V6.4.3, V6.5.1; RFC 6819 section 5.1.5.

Only what we made ourselves is put into a mail: a name that somebody registered under could be a sentence of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import accounts, challenges
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import InvalidRequest
from rimlock.core.messages import Message
from rimlock.core.normal import email_forms
from rimlock.core.registering import Known

if TYPE_CHECKING:
    from rimlock.core.challenges import Challenge
    from rimlock.core.database import Transaction
    from rimlock.core.messages import Fact, Post
    from rimlock.core.users import Users

__all__ = ["MAILS", "Link", "key_of", "look_up", "mail", "notify", "whose"]

MAILS, WITHIN = 5, 3600
"""How many links for one purpose a user is mailed within so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A kind of link. `base`, `path`: the page it leads to. `kind`: of the message. `seconds`: how long it is good."""

    purpose: str
    kind: str
    base: str
    path: str
    seconds: int

    def to(self, token: str) -> str:
        """Return the address of the page with the secret. It is made of settings alone."""
        return f"{self.base}/{self.path}?token={token}"


def key_of(email: str) -> str:
    """Return what a stored address is compared by; one of a host's own table may be none by our rules."""
    try:
        return email_forms(email)[1]
    except InvalidRequest:
        return email.casefold()


def look_up(tx: Transaction, users: Users, email: str, *, held: bool = True) -> Known | None:
    """Return who has an address. The work is the same when nobody does.

    `held`: one at a time is mailed to, so that ten requests at once count as ten.
    """
    user = users.find(tx, email)
    account = accounts.standing(tx, "" if user is None else user.id, held=held)
    return None if user is None or account is None else Known(user, account)


def mail(
    tx: Transaction, post: Post, link: Link, whom: Known | None, *, to: str, bound: Mapping[str, Fact], now: int
) -> bool:
    """Mail a new link; those of the same purpose are worth nothing from now on. `bound`: what it is made under.

    `whom` None stands for nobody, and the same is done in vain, as for somebody who got enough of them: False then.
    """
    user_id = "" if whom is None else whom.user.id
    enough = challenges.issued_since(tx, link.purpose, user_id, since=now - WITHIN + 1) >= MAILS
    nobody = whom is None or enough
    # The last one stays good for who got enough: a stranger who asks on and on takes no link from its owner.
    challenges.withdraw(tx, link.purpose, now=now, user_id="" if nobody else user_id)
    token = challenges.issue(
        tx,
        link.purpose,
        now=now,
        seconds=0 if nobody else link.seconds,
        user_id=None if nobody else user_id,
        data=dict.fromkeys(bound, "") if nobody else bound,
    )
    facts: dict[str, Fact] = {"link": link.to(token), "minutes": link.seconds // 60}
    _post(tx, post, link.kind, None if nobody else whom, to=to, facts=facts, expires_at=now + link.seconds)
    return not nobody


def notify(
    tx: Transaction, post: Post, kind: str, whom: Known | None, *, to: str, facts: Mapping[str, Fact] | None = None
) -> None:
    """Tell somebody something that leads nowhere; nobody is told in vain."""
    _post(tx, post, kind, whom, to=to, facts=facts or {}, expires_at=None)


def whose(tx: Transaction, users: Users, found: Challenge, *, held: bool) -> Known:
    """Return whom a link is for, if it still is: the account acts, the address is the same.

    `held`: keep their standing as it is, before the link is spent; in the other order, two transactions could wait for
    each other. Raises ChallengeRefused. Links bound to an epoch are worth nothing after any change of it.
    """
    account = accounts.standing(tx, found.user_id or "", held=held)
    user = users.get(tx, found.user_id or "")
    if account is None or user is None or not account.active or account.waiting:
        raise ChallengeRefused
    if key_of(user.email) != found.data["email"] or account.epoch != found.data.get("epoch", account.epoch):
        raise ChallengeRefused
    return Known(user, account)


def _post(
    tx: Transaction,
    post: Post,
    kind: str,
    whom: Known | None,
    *,
    to: str,
    facts: Mapping[str, Fact],
    expires_at: int | None,
) -> None:
    user_id, locale = (None, None) if whom is None else (whom.user.id, whom.account.locale)
    message = Message(kind=kind, to=to, facts=facts, user_id=user_id, locale=locale, expires_at=expires_at)
    post(tx, message, void=whom is None)
