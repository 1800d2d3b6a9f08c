"""The plug: what a feature is given, and the few things it may give back.

Threat: a feature that reaches around the doors because nothing else gives it what it needs.
Source: design section 2; docs/decisions/0003.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

    from rimlock.core.access import RuleBook
    from rimlock.core.clock import Clock
    from rimlock.core.database import Database, Transaction
    from rimlock.core.devices import Devices
    from rimlock.core.events import Event
    from rimlock.core.follower import Follower
    from rimlock.core.hashing import HashingPool
    from rimlock.core.keyring import KeyRing
    from rimlock.core.limits import Limits
    from rimlock.core.login import Policy
    from rimlock.core.messages import MessageKind, Post
    from rimlock.core.observers import Handler
    from rimlock.core.retirements import Retirements
    from rimlock.core.revocations import Revocations
    from rimlock.core.sessions import Device, Lifetimes
    from rimlock.core.usage import Key, Usage
    from rimlock.core.users import Users
    from rimlock.crypto.passwords.policy import PasswordPolicy
    from rimlock.crypto.secret import RootSecret
    from rimlock.settings import Settings
    from rimlock.web.browser import Browser
    from rimlock.web.credentials import Reader
    from rimlock.web.entrance import Entrance
    from rimlock.web.fields import ProfileFields
    from rimlock.web.routing import RouteTable

__all__ = ["Context", "Feature", "Form", "GrantHandler", "Probe", "Profile", "Reaction", "Watch"]

Form = Mapping[str, str]
GrantHandler = Callable[["Request", Form], Awaitable["Response"]]
"""Answers one `grant_type` of the token endpoint (RFC 6749 section 4). Raises AuthError."""

Probe = Callable[[], Awaitable[Mapping[str, Any]]]
"""One part of the health check; raises when the part is not well."""

Reaction = Callable[["Transaction", Any], None]
"""Does its part in the transaction that emitted the event, as its last statements. What it raises undoes all of it."""

Watch = Callable[["Key"], None]
"""Is told under which key of usage a request was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What features may use of one installation."""

    settings: Settings
    clock: Clock
    root: RootSecret
    database: Database
    users: Users
    passwords: HashingPool
    limits: Limits
    devices: Devices
    password_policy: PasswordPolicy
    policies: Sequence[Policy]
    lifetimes: Lifetimes
    entrance: Entrance
    browser: Browser
    fields: ProfileFields
    """The profile fields this application defines."""
    post: Post
    """Send somebody a message, once the transaction is committed."""
    kinds: Callable[[], Mapping[str, MessageKind]]
    """Every kind of message, of all features."""
    revocations: Revocations
    follower: Follower
    usage: Usage
    retirements: Retirements
    permissions: Callable[[frozenset[str]], frozenset[str]]
    """What roles allow, by configuration."""
    ring: Callable[[], KeyRing]
    """The signing keys as this process knows them."""
    rules: Callable[[], RuleBook]
    """The rule book in force."""
    routes: Callable[[], RouteTable | None]
    """The host's routes, once installed."""
    probes: Callable[[], Mapping[str, Probe]]
    """The parts of the health check, of all features."""
    flush: Callable[[], Awaitable[None]]
    """Write what waits (usage, and what features keep back) now."""
    flush_later: Callable[[], None]
    """Write what waits within a second; costs nothing when that is under way already."""
    on: Callable[[type[Any], Handler], None]
    """Call a handler after every committed event of a type; see Rimlock.on."""
    device: Callable[[Request, bool, str], Device]
    """Describe where a sign-in comes from: request, remembered, transport."""

    def now(self) -> int:
        """Whole seconds since the epoch."""
        return int(self.clock())


class Feature:
    """One folder that can be deleted. A subclass overrides what it has to give."""

    name: str = ""

    def routes(self, context: Context) -> APIRouter | None:
        """Return routes, to stand under the prefix."""

    def grants(self, context: Context) -> Mapping[str, GrantHandler]:  # noqa: ARG002 - subclasses use it
        """Return handlers of the token endpoint, by `grant_type`."""
        return {}

    def readers(self, context: Context) -> Sequence[Reader]:  # noqa: ARG002 - subclasses use it
        """Return readers of credentials, asked after those of access tokens."""
        return ()

    def probes(self, context: Context) -> Mapping[str, Probe]:  # noqa: ARG002 - subclasses use it
        """Return parts of the health check, by name."""
        return {}

    def watcher(self, context: Context) -> Watch | None:
        """Return what is told how each request to the host's routes was judged, while it is; None for nothing.

        Asked once, after `start`. It must be quick and raise nothing.
        """

    def reactions(self, context: Context) -> Mapping[type[Event], Reaction]:  # noqa: ARG002 - subclasses use it
        """Return what has to happen in the transaction of an event or not at all, by the type of the event."""
        return {}

    def fields(self) -> ProfileFields | None:
        """Return the profile fields of this application, from the one feature that is told them."""

    def messages(self) -> Sequence[MessageKind]:
        """Return the kinds of message this feature sends."""
        return ()

    async def start(self, context: Context) -> None:
        """Do what has to be done once, before the first request."""

    async def stop(self, context: Context) -> None:
        """End what `start` began, before the database is closed."""

    async def flush(self, context: Context) -> None:
        """Write what was kept back, called by `context.flush`. Raises Unavailable."""


class Profile(Feature):
    """Another system's HTTP dialect over the same logic: its paths, bodies, status codes and errors.

    Its paths are whole, not under our prefix. One that is also the host's, or ours, is a ConfigurationError.
    """

    def brings(self) -> Sequence[Feature]:
        """Return the features that the dialect needs: beside ours, or in place of those with the same name."""
        return ()

    def application(self, context: Context) -> FastAPI:
        """Return what answers, see `mounting.profile_application`."""
        raise NotImplementedError
