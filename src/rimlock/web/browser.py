"""The refresh token in a browser: a cookie no script can read, taken only from pages that may send it.

Threat: another site that signs in, refreshes or signs out on the user's behalf; a cookie set by a sibling host.
Source: RFC 6265bis (`__Host-`), OWASP ASVS 5.0 V3.3, V3.5; Fetch Metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rimlock.core.errors import AuthError
from rimlock.web.credentials import header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock.web.credentials import Scope

__all__ = ["REQUEST_HEADER", "Browser", "CrossSite"]

REQUEST_HEADER = "X-Rimlock"
"""A page must send this header with any value: another site cannot, without asking for leave first."""


class CrossSite(AuthError):
    """A request that rests on the cookie came from a page that may not send it."""

    code, status, title = "cross_site_request", 403, "This request may not come from that page."


@dataclass(frozen=True, slots=True)
class Browser:
    """How one installation talks to browsers."""

    origins: frozenset[str]
    secure: bool

    @classmethod
    def of(cls, origins: Sequence[str], issuer: str, *, insecure: bool) -> Browser:
        """Our own origin always counts beside the listed ones."""
        own = urlsplit(issuer)
        return cls(frozenset({*origins, f"{own.scheme}://{own.netloc}"}), not insecure)

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return "__Host-rimlock" if self.secure else "rimlock"

    def token(self, scope: Scope) -> str | None:
        """Return the refresh token the browser sent, or None."""
        sent = header(scope, b"cookie")
        if sent is None:
            return None
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(sent.decode("latin-1"))
        except CookieError:
            return None
        morsel = jar.get(self.cookie)
        return morsel.value if morsel else None

    def check(self, scope: Scope) -> None:
        """Refuse a request whose page may not use the cookie. Raises CrossSite."""
        if header(scope, REQUEST_HEADER.lower().encode()) is None:
            raise CrossSite(f"The request needs the header {REQUEST_HEADER}.")
        origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
        if origin is not None and origin.decode("latin-1") not in self.origins:
            raise CrossSite
        if origin is None and site not in {None, b"same-origin", b"none"}:
            raise CrossSite

    def keep(self, token: str, seconds: int | None) -> str:
        """Return the `Set-Cookie` value that keeps the token: for `seconds`, or until the browser closes."""
        lasting = "" if seconds is None else f"; Max-Age={seconds}"
        return f"{self.cookie}={token}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if self.secure else ''}{lasting}"

    def drop(self) -> str:
        """Return the `Set-Cookie` value that takes the token away."""
        return f"{self.cookie}=; Path=/; HttpOnly; SameSite=Strict{'; Secure' if self.secure else ''}; Max-Age=0"
