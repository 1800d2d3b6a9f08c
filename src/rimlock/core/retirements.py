"""Credentials on their way out: accepted, deprecated, browned out, refused, and always one step back.

Threat: a key that is cut off without notice; a notice shown to callers whom it does not concern; a header that a
configured address writes.
Source: RFC 9745 (Deprecation), RFC 8594 (Sunset), RFC 8288 (Link); requirements L1 and L12.

What is said of one key is over what is said of its kind, and a change at run time over `rimlock.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

from rimlock.core.errors import AuthError, ConfigurationError
from rimlock.core.principal import CredentialKind
from rimlock.core.windows import Window, ends_at, merged, over

if TYPE_CHECKING:
    from rimlock.core.principal import Principal

__all__ = [
    "CredentialRetired",
    "Headers",
    "Notice",
    "Phase",
    "Retirement",
    "Retirements",
    "checked_target",
    "standing",
]

Headers = tuple[tuple[bytes, bytes], ...]
LONGEST_LINK = 2000
LAST = 253_402_300_800
"""The end of the year 9999; a date behind it cannot be written in a header."""

MOST_WINDOWS = 50
_LINK = re.compile(r"https://[!#-;=?-\[\]_a-z~]+")
"""What an address may consist of: no quote, bracket, backslash or blank, nothing that ends a header."""

_KEY = re.compile("key:[0-9A-Za-z_-]{1,64}")


class CredentialRetired(AuthError):
    """The credential is on its way out and is refused now: in a brownout, or for good."""

    code, status, title = "credential_retired", 401, "This credential is being retired and is refused now."


class Phase(StrEnum):
    """How far a credential is on its way out.

    accept: as ever. deprecated: as ever, and told. brownout: told, and in its windows refused. refused: for good.
    """

    ACCEPT = "accept"
    DEPRECATED = "deprecated"
    BROWNOUT = "brownout"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Notice:
    """What an answer to a retired credential carries; `error` when the request is refused.

    `later` waits a moment for headers that are not known yet, where the request did not wait for them.
    """

    headers: Headers = ()
    error: CredentialRetired | None = None
    later: Callable[[], Awaitable[Headers]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """What is said of one key (`key:<id>`) or kind of credential (`kind:<kind>`). Times in seconds since the epoch.

    `deprecated_at`: since when, or from when on, it should not be used. `sunset_at`: when it is to end; it is refused
    from then on only with `refuse_after_sunset`. `link`: a page for its holders. `percent`: of the callers that a
    brownout refuses in its `windows`. `source`: who says so. Raises ConfigurationError for what contradicts itself.
    """

    target: str
    phase: Phase
    deprecated_at: int | None = None
    sunset_at: int | None = None
    link: str = ""
    percent: int = 100
    windows: tuple[Window, ...] = ()
    refuse_after_sunset: bool = False
    source: str = ""
    headers: Headers = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Check it, join its windows and spell its headers once."""
        _check(self)
        object.__setattr__(self, "windows", merged(self.windows) if self.phase is Phase.BROWNOUT else ())
        object.__setattr__(self, "headers", () if self.phase is Phase.ACCEPT else _headers(self))

    def overdue(self, now: float) -> bool:
        """Say whether it is accepted longer than was announced."""
        passed = self.sunset_at is not None and self.sunset_at <= now
        return passed and standing(self, now) in {Phase.DEPRECATED, Phase.BROWNOUT}

    def warnings(self, now: float) -> list[str]:
        """Say what of it has no effect, or not the one somebody may expect."""
        said = []
        if self.windows and over(self.windows, now):
            said.append("every brownout window is over; nobody is refused")
        elif any(window.over(now) for window in self.windows):
            said.append("some brownout windows are over")
        if self.overdue(now):
            said.append("its sunset has passed and it is still accepted; refuse it, or move the date")
        if self.phase is Phase.BROWNOUT and self.percent == 0:
            said.append("a brownout for 0 percent refuses nobody")
        return said


def standing(entry: Retirement, now: float) -> Phase:
    """Return how far the credential is at this moment. It moves by the clock alone."""
    if entry.phase in {Phase.ACCEPT, Phase.REFUSED}:
        return entry.phase
    if entry.refuse_after_sunset and entry.sunset_at is not None and now >= entry.sunset_at:
        return Phase.REFUSED
    if entry.windows and ends_at(entry.windows, now)[0]:
        return Phase.BROWNOUT
    return Phase.DEPRECATED


class Retirements:
    """What one process knows of credentials on their way out.

    `share`: where a caller stands among a hundred, told the principal and the request. `configured`: what the rule
    file says.
    """

    def __init__(
        self, share: Callable[[Principal, Any], int] = lambda *_: 0, configured: tuple[Retirement, ...] = ()
    ) -> None:
        """Know of none that is in force yet."""
        self.configured = configured
        self.active: Mapping[str, Retirement] = {}
        """By target: `key:<id>` or `kind:<kind>`. Empty as long as nothing is being retired."""
        self._share = share
        self._told: dict[str, Notice] = {}
        self._vary: Headers = ()

    def vary_on(self, names: Iterable[bytes]) -> None:
        """Say in which headers credentials come: an answer with a notice is no answer for who sends another one."""
        listed = b", ".join(sorted(names))
        self._vary = ((b"vary", listed),) if listed else ()

    def use(self, entries: Iterable[Retirement]) -> None:
        """Go by these from now on. What says nothing but "accept" is kept only where a kind would say otherwise."""
        known = {entry.target: entry for entry in entries}
        spoken = {target for target, entry in known.items() if entry.phase is not Phase.ACCEPT}
        kept = spoken | {target for target in known if "kind:key" in spoken and target.startswith("key:")}
        self._told = {target: self._notice(known[target]) for target in spoken}
        self.active = {target: known[target] for target in kept}

    def of(self, kind: str, credential_id: str) -> Retirement | None:
        """Return what is said of a credential: of the key itself before its kind."""
        entry = self.active.get("key:" + credential_id) if kind == "key" else None
        return self.active.get("kind:" + kind) if entry is None else entry

    def judge(self, principal: Principal, now: float, request: Any = None) -> Notice | None:
        """Return what to tell whoever uses this credential, None for one that stays. `request`: for the share."""
        entry = self.of(principal.kind, principal.credential_id)
        if entry is None or entry.phase is Phase.ACCEPT:
            return None
        phase = standing(entry, now)
        if phase is Phase.DEPRECATED or (phase is Phase.BROWNOUT and self._spared(entry, principal, request)):
            return self._told.get(entry.target) or self._notice(entry)
        return self._notice(entry, _refusal(entry, phase, now))

    def _notice(self, entry: Retirement, error: CredentialRetired | None = None) -> Notice:
        return Notice((*entry.headers, *self._vary), error)

    def _spared(self, entry: Retirement, principal: Principal, request: Any) -> bool:
        """A brownout for some of the callers always takes the same ones."""
        return entry.percent < 100 and self._share(principal, request) >= entry.percent  # noqa: PLR2004 - a percentage


def checked_target(target: str) -> str:
    """Return the target if it names a key by id, or a kind of credential. Raises ConfigurationError."""
    kinds = get_args(CredentialKind)
    if _KEY.fullmatch(target) or (target.removeprefix("kind:") in kinds and target.startswith("kind:")):
        return target
    raise ConfigurationError(f"write key:<id>, or kind: and one of {', '.join(kinds)}")


def _refusal(entry: Retirement, phase: Phase, now: float) -> CredentialRetired:
    end = ends_at(entry.windows, now)[1] if phase is Phase.BROWNOUT else None
    detail = CredentialRetired.title if not entry.link else f"{CredentialRetired.title} See {entry.link}"
    error = CredentialRetired(detail, retry_after=None if end is None else max(1, ceil(end - now)))
    error.headers = entry.headers
    return error


def _check(entry: Retirement) -> None:
    """Raise ConfigurationError for what contradicts itself, or could write a header of its own."""
    if entry.link and not _is_address(entry.link):
        raise ConfigurationError("a link is an https address of at most 2000 characters, without blanks or quotes")
    if not 0 <= entry.percent <= 100:  # noqa: PLR2004 - it is a percentage
        raise ConfigurationError("percent lies between 0 and 100")
    if any(at is not None and not 0 <= at < LAST for at in (entry.deprecated_at, entry.sunset_at)):
        raise ConfigurationError("a date lies between the years 1970 and 9999")
    if entry.phase is Phase.ACCEPT:
        return
    if entry.deprecated_at is None:
        raise ConfigurationError("say since when it is deprecated")
    if entry.sunset_at is not None and entry.sunset_at < entry.deprecated_at:
        raise ConfigurationError("the sunset cannot lie before the day of deprecation")
    if entry.refuse_after_sunset and entry.sunset_at is None:
        raise ConfigurationError("refuse_after_sunset needs a sunset")
    if entry.phase is Phase.BROWNOUT and not 0 < len(entry.windows) <= MOST_WINDOWS:
        raise ConfigurationError(f"a brownout has from 1 to {MOST_WINDOWS} windows")


def _is_address(link: str) -> bool:
    try:
        return len(link) <= LONGEST_LINK and _LINK.fullmatch(link) is not None and bool(urlsplit(link).hostname)
    except ValueError:
        return False


def _headers(entry: Retirement) -> Headers:
    told = [(b"deprecation", b"@%d" % (entry.deprecated_at or 0))]
    relations = ["deprecation"]
    if entry.sunset_at is not None:
        told.append((b"sunset", formatdate(entry.sunset_at, usegmt=True).encode()))
        relations.append("sunset")
    if entry.link:
        links = (f'<{entry.link}>; rel="{relation}"; type="text/html"' for relation in relations)
        told.append((b"link", ", ".join(links).encode()))
    return tuple(told)
