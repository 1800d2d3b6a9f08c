"""The door through: what a request carries, turned into a principal by one place.

Threat: two places that read a credential differently; a key that leaks through a URL; a smuggled second header.
Source: RFC 6750 section 2 (bearer tokens), RFC 9110 section 11.6.2 (Authorization).

A reader answers one of three: nothing of ours (None), a principal, or ours but bad (an AuthError). What needs
the database comes back as an awaitable, so that the common case never leaves the caller's stack.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

from rimlock.core.errors import AuthError, ConfigurationError, CredentialInvalid, Unavailable
from rimlock.core.principal import Principal
from rimlock.core.tokens import KeyUnknown
from rimlock.web.recall import AUTHORIZATION, Identity, Recollection, known_headers, watched_headers

if TYPE_CHECKING:
    from rimlock.core.follower import Follower, OnStale
    from rimlock.core.retirements import Retirements
    from rimlock.core.revocations import Revocations
    from rimlock.core.tokens import AccessTokens, VerifiedTokens

__all__ = [
    "BearerReader",
    "Credentials",
    "Extractor",
    "Identity",
    "KeyReader",
    "Reader",
    "Retired",
    "from_authorization",
    "from_header",
    "from_path",
    "from_query",
]

Scope = MutableMapping[str, Any]
Answer = Principal | AuthError | None
Reading = Answer | Awaitable[Answer]
Extractor = Callable[[Scope], bytes | None]


class Reader(Protocol):
    """Knows one kind of credential."""

    def read(self, scope: Scope, now: float) -> Reading:
        """Return the principal, the reason why a credential of ours is bad, None, or an awaitable of these."""


@dataclass(frozen=True, slots=True)
class Accompanied(Identity):
    """An identity beside which the request carries other good credentials."""

    others: tuple[Principal, ...] = ()


@dataclass(frozen=True, slots=True)
class Retired(Identity):
    """An identity whose credential is on its way out and refused now. `whose`: for those who count."""

    whose: Principal | None = None


NOBODY = Identity(None, None)


class Credentials:
    """Asks every reader in turn. The first principal counts; a bad credential is remembered, never hidden."""

    def __init__(
        self,
        readers: Sequence[Reader],
        follower: Follower,
        on_stale: OnStale,
        clock: Callable[[], float],
        retirements: Retirements,
    ) -> None:
        """`on_stale`: what to do while the follower cannot vouch for its memory."""
        self.retirements = retirements
        self._readers = tuple(readers)
        self.watched = watched_headers(self._readers)
        retirements.vary_on(known_headers(self._readers))
        self._bearer = next((reader for reader in self._readers if isinstance(reader, BearerReader)), None)
        self._follower = follower
        self._on_stale = on_stale
        self._clock = clock

    def identify(self, scope: Scope) -> Identity | Awaitable[Identity]:
        """Work out who the request is. Raises Unavailable when revocations cannot be known."""
        found = self._identify(scope) if self._follower.current() else self._identify_stale(scope)
        if not self.retirements.active:
            return found
        return self._retire(found, scope) if isinstance(found, Identity) else self._retire_later(found, scope)

    def known(self, scope: Scope) -> Identity | None:
        """Return who the request is if that is remembered, or it carries nothing; None where that has to be asked."""
        watched = self.watched
        if watched is None or self._bearer is None or not self._follower.current():
            return None
        carried = [pair for pair in scope["headers"] if pair[0] in watched]
        if len(carried) > 1:
            return None
        if not carried:
            return NOBODY
        found = self._bearer.recollection.recall((carried[0][0], carried[0][1]), self._clock())
        return found if found is None or not self.retirements.active else self._retire(found, scope)

    @property
    def retiring(self) -> bool:
        """Whether any credential is on its way out."""
        return bool(self.retirements.active)

    def _retire(self, identity: Identity, scope: Scope) -> Identity:
        """Take into account that a credential may be on its way out: the one that counts, or one beside it."""
        if identity.principal is None:
            return identity
        notice = self.retirements.judge(identity.principal, self._clock(), scope)
        if notice is None:
            return self._retire_others(identity, scope) if isinstance(identity, Accompanied) else identity
        if notice.error is None:
            return Identity(identity.principal, identity.bad, notice)
        return Retired(None, notice.error, notice, identity.principal)

    def _retire_others(self, identity: Accompanied, scope: Scope) -> Identity:
        """Tell of a key that is sent beside a credential which counts. Refused, it is a bad one beside a good one."""
        for other in identity.others:
            notice = self.retirements.judge(other, self._clock(), scope)
            if notice is not None:
                return Identity(identity.principal, identity.bad or notice.error, notice)
        return identity

    async def _retire_later(self, waiting: Awaitable[Identity], scope: Scope) -> Identity:
        return self._retire(await waiting, scope)

    def _identify(self, scope: Scope) -> Identity | Awaitable[Identity]:
        now = self._clock()
        watched = self.watched
        if watched is None:
            return self._ask(scope, now)
        carried = [pair for pair in scope["headers"] if pair[0] in watched]
        if not carried:
            return NOBODY
        if len(carried) > 1 or self._bearer is None:
            return self._ask(scope, now)
        header = (carried[0][0], carried[0][1])
        known = self._bearer.recollection.recall(header, now)
        if known is not None:
            return known
        identity = self._ask(scope, now)
        if isinstance(identity, Identity):
            return self._bearer.recollection.remember(header, identity, now)
        return identity

    def _ask(self, scope: Scope, now: float) -> Identity | Awaitable[Identity]:
        principal: Principal | None = None
        bad: AuthError | None = None
        others: tuple[Principal, ...] = ()
        for place, reader in enumerate(self._readers):
            answer = reader.read(scope, now)
            if answer is None:
                continue
            if isinstance(answer, Principal):
                others = others if principal is None else (*others, answer)
                principal = principal or answer
            elif isinstance(answer, AuthError):
                bad = bad or answer
            else:
                return self._finish(scope, now, answer, place, _identity(principal, bad, others))
        return _identity(principal, bad, others) if principal or bad else NOBODY

    async def _finish(
        self, scope: Scope, now: float, waiting: Awaitable[Answer], place: int, so_far: Identity
    ) -> Identity:
        """Go on from the reader that had to ask the database."""
        found = _with(so_far, await waiting)
        for reader in self._readers[place + 1 :]:
            answer = reader.read(scope, now)
            if not (answer is None or isinstance(answer, (Principal, AuthError))):
                answer = await answer
            found = _with(found, answer)
        return found

    async def _identify_stale(self, scope: Scope) -> Identity:
        try:
            await self._hear()
        except Unavailable:
            # Who shows nothing rests on no journal. To know them keeps a share of callers on its side meanwhile.
            if self.watched is None or any(name in self.watched for name, _ in scope["headers"]):
                raise
        identity = self._identify(scope)
        return identity if isinstance(identity, Identity) else await identity

    async def _hear(self) -> None:
        """Make the memory of revocations complete, as far as is allowed. Raises Unavailable."""
        if await self._follower.revive():
            return
        if self._on_stale == "refuse":
            raise Unavailable
        await self._follower.catch_up()


class BearerReader:
    """Access tokens of ours in `Authorization: Bearer`."""

    headers = frozenset({AUTHORIZATION})

    def __init__(
        self,
        tokens: AccessTokens,
        verified: VerifiedTokens,
        revocations: Revocations,
        reload_keys: Callable[[], Awaitable[None]],
    ) -> None:
        """`reload_keys`: fetch the signing keys again, when a token names one that is not known yet."""
        self._tokens = tokens
        self._verified = verified
        self._revocations = revocations
        self._reload_keys = reload_keys
        self.recollection = Recollection(verified, revocations)

    def read(self, scope: Scope, now: float) -> Reading:
        """See Reader.read."""
        token = bearer(scope)
        if token is None:
            return None
        known = self._verified.get(token, now)
        if known is not None:
            principal, session = known
            if self._revocations.refuses(session, principal.subject, principal.epoch):
                return CredentialInvalid()
            return principal
        return self._verify(token, now)

    def _verify(self, token: bytes, now: float) -> Reading:
        try:
            return self._accept(token, now)
        except KeyUnknown:
            return self._verify_with_new_keys(token, now) if self._tokens.recognises(token) else None
        except CredentialInvalid as refused:
            return refused if self._tokens.recognises(token) else None

    async def _verify_with_new_keys(self, token: bytes, now: float) -> Answer:
        await self._reload_keys()
        try:
            return self._accept(token, now)
        except CredentialInvalid as refused:
            return refused

    def _accept(self, token: bytes, now: float) -> Answer:
        """Verify and remember a token, unless it is revoked."""
        principal = self._tokens.read(token, now)
        session = self._verified.put(token, principal)
        if self._revocations.refuses(session, principal.subject, principal.epoch):
            return CredentialInvalid()
        return principal


class KeyReader:
    """API keys, wherever the extractors find them."""

    def __init__(self, extractors: Sequence[Extractor], resolve: Callable[[bytes, float], Reading]) -> None:
        """`resolve` turns the text of a key into an answer."""
        self._extractors = tuple(extractors)
        self._resolve = resolve
        self.headers = watched_headers(self._extractors)
        self.known_headers = known_headers(self._extractors)

    def read(self, scope: Scope, now: float) -> Reading:
        """See Reader.read."""
        return self._read(scope, now, self._extractors)

    def _read(self, scope: Scope, now: float, extractors: Sequence[Extractor]) -> Reading:
        """Ask for one text after the other; one that is none of ours hides none that is."""
        for place, extract in enumerate(extractors, 1):
            text = extract(scope)
            if not text:
                continue
            found = self._resolve(text, now)
            if isinstance(found, (Principal, AuthError)):
                return found
            if found is not None:
                return self._finish(scope, now, found, extractors[place:])
        return None

    async def _finish(self, scope: Scope, now: float, waiting: Awaitable[Answer], rest: Sequence[Extractor]) -> Answer:
        found = await waiting
        if found is not None:
            return found
        later = self._read(scope, now, rest)
        return later if later is None or isinstance(later, (Principal, AuthError)) else await later


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the header, or None. Sent twice, it is treated as not sent: no two parties may read different halves."""
    found: bytes | None = None
    for key, value in scope["headers"]:
        if key == name:
            if found is not None:
                return None
            found = value
    return found


def bearer(scope: Scope) -> bytes | None:
    """Return the token of `Authorization: Bearer …` (RFC 6750 section 2.1)."""
    value = header(scope, b"authorization")
    if value is None or value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip()


def from_header(name: str) -> Extractor:
    """Find the key in a header of this name."""
    wanted = name.lower().encode("latin-1")
    return _InHeader(frozenset({wanted}), lambda scope: header(scope, wanted))


def from_authorization(scheme: str = "bearer") -> Extractor:
    """Find the key in `Authorization: <scheme> …`."""
    start = scheme.lower().encode("latin-1") + b" "

    def extract(scope: Scope) -> bytes | None:
        value = header(scope, b"authorization")
        if value is None or value[: len(start)].lower() != start:
            return None
        text = value[len(start) :].strip()
        return None if text.count(b".") == 2 else text  # noqa: PLR2004 - a JWT is not a key

    return _InHeader(frozenset({AUTHORIZATION}), extract)


@dataclass(frozen=True, slots=True)
class _InHeader:
    """An extractor that looks at these headers and nowhere else."""

    headers: frozenset[bytes]
    extract: Extractor

    def __call__(self, scope: Scope) -> bytes | None:
        return self.extract(scope)


def from_query(parameter: str) -> Extractor:
    """Find the key in the query string. It is taken out of the logs by `rimlock.web.redaction`."""

    def extract(scope: Scope) -> bytes | None:
        query = scope.get("query_string", b"")
        if parameter.encode() not in query:
            return None
        try:
            values = parse_qs(query.decode("latin-1"), max_num_fields=100).get(parameter, [])
        except ValueError:
            return None
        return values[0].encode() if len(values) == 1 else None

    return extract


def from_path(template: str) -> Extractor:
    """Find the key in the path: the segment `{key}` of a template like `/t/{key}/**`. Raises ConfigurationError.

    Compared is `scope["path"]`, the whole path as the server decoded it, a root path included. Other segments in
    braces stand for anything, a last `**` for everything below, nothing included. `rimlock.web.redaction` takes such
    keys out of the logs of this process; proxies in front of it keep logs of their own.
    """
    expression = path_expression(template)

    def extract(scope: Scope) -> bytes | None:
        found = expression.fullmatch(scope["path"])
        return found["key"].encode(errors="replace") if found else None

    return extract


def path_expression(template: str) -> re.Pattern[str]:
    """Return what a path with a key in it looks like; the group `key` is the key. Raises ConfigurationError."""
    segments = template.split("/")
    if segments.count("{key}") != 1 or segments[0]:
        raise ConfigurationError(f"{template!r} names no place for a key; write /t/{{key}} or /t/{{key}}/**")
    rest = "(?:/.*)?" if segments[-1] == "**" else ""
    parts = segments[1:-1] if rest else segments[1:]
    return re.compile("".join(f"/{_segment(part)}" for part in parts) + rest, re.DOTALL)


def _segment(part: str) -> str:
    if part == "{key}":
        return "(?P<key>[^/]+)"
    return "[^/]+" if part.startswith("{") and part.endswith("}") else re.escape(part)


def _identity(principal: Principal | None, bad: AuthError | None, others: tuple[Principal, ...]) -> Identity:
    return Accompanied(principal, bad, None, others) if others else Identity(principal, bad)


def _with(identity: Identity, answer: Answer) -> Identity:
    others = identity.others if isinstance(identity, Accompanied) else ()
    if isinstance(answer, Principal):
        beside = (*others, answer) if identity.principal else others
        return _identity(identity.principal or answer, identity.bad, beside)
    return _identity(identity.principal, identity.bad or answer, others)
