"""Who is acting, and from where: kept beside a request or a command, and stamped on every transaction it starts.

Threat: a change that nobody can be asked about; two requests that share an identity.
Source: OWASP ASVS 5.0 V16.2.1 (who, what, when, where).
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rimlock.core.principal import Principal

__all__ = ["NOBODY", "Acting", "acting", "actor_of", "become", "begin", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """The actor (`user:<id>`, `key:<id>`, `cli:<name>`, empty for nobody), their address and their user agent.

    `languages`: what they asked for, as `Accept-Language` has it.
    """

    actor: str = ""
    address: str = ""
    agent: str = ""
    languages: str = ""


NOBODY = Acting()
_acting: ContextVar[Acting] = ContextVar("rimlock_acting", default=NOBODY)


def acting() -> Acting:
    """Return who acts in this context."""
    return _acting.get()


def begin(who: Acting) -> Token[Acting]:
    """Say who acts from here on; `end` takes the token."""
    return _acting.set(who)


def end(token: Token[Acting]) -> None:
    """Go back to who acted before."""
    _acting.reset(token)


def become(principal: Principal) -> None:
    """Name the actor of a request of ours, once the credential is read. Outside of one nothing is kept."""
    who = _acting.get()
    if who is not NOBODY:
        _acting.set(replace(who, actor=actor_of(principal)))


def actor_of(principal: Principal) -> str:
    """Return a principal as it is written down: `key:<id>` or `user:<id>`."""
    subject = principal.subject
    return subject if subject.startswith("key:") else f"user:{subject}"
