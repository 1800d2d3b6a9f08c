"""The refresh token in a browser: a cookie no script can read, taken only from pages that may send it.

Threat: another site that signs in, refreshes or signs out on the user's behalf; a cookie set by a sibling host.
Source: RFC 6265bis (`__Host-`), OWASP ASVS 5.0 V3.3, V3.5; Fetch Metadata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rimlock.core.errors import AuthError
from rimlock.web.credentials import header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock.web.credentials import Scope

__all__ = ["DEVICE_HEADER", "REQUEST_HEADER", "Browser", "CrossSite"]

DEVICE_HEADER = "X-Rimlock-Device"
"""In it a client without cookies sends the `device_token` of its last sign-in, to be known."""

REQUEST_HEADER = "X-Rimlock"
"""A page must send this header with any value: another site cannot, without asking for leave first."""


class CrossSite(AuthError):
    """A request that rests on the cookie came from a page that may not send it."""

    code, status, title = "cross_site_request", 403, "This request may not come from that page."


_NAME = re.compile(r"[a-z0-9-]{1,60}")


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
        """Return the refresh token the browser sent, or None.

        Read by hand: the parser of the standard library stops at the first cookie of somebody else's that it finds
        odd, and the user would be signed out by it. HTTP/2 may split the header (RFC 9113 section 8.2.3).
        """
        return _cookie(scope, self.cookie)

    @property
    def device_cookie(self) -> str:
        """The name of the cookie by which a device is known."""
        return f"{self.cookie}-device"

    def notes(self, scope: Scope, *, cookie: bool) -> str:
        """Return what the device presents to be known by: in its header, or in the cookie where cookies are used."""
        sent = header(scope, DEVICE_HEADER.lower().encode())
        if sent is not None:
            return sent.decode("latin-1")
        return (_cookie(scope, self.device_cookie) or "") if cookie else ""

    def check(self, scope: Scope) -> None:
        """Refuse a request whose page may not use the cookie. Raises CrossSite."""
        if header(scope, REQUEST_HEADER.lower().encode()) is None:
            raise CrossSite(f"The request needs the header {REQUEST_HEADER}.")
        origins, sites = _all(scope, b"origin"), _all(scope, b"sec-fetch-site")
        if len(origins) > 1 or len(sites) > 1:
            raise CrossSite
        if origins and origins[0].decode("latin-1") not in self.origins:
            raise CrossSite
        if not origins and sites and sites[0] not in {b"same-origin", b"none"}:
            raise CrossSite

    def keep_notes(self, notes: str, seconds: int) -> str:
        """Return the `Set-Cookie` value by which the device is known. It outlives the session, and opens nothing."""
        return (
            f"{self.device_cookie}={notes}; Path=/; HttpOnly; SameSite=Strict"
            f"{'; Secure' if self.secure else ''}; Max-Age={seconds}"
        )

    def keep(self, token: str, seconds: int | None) -> str:
        """Return the `Set-Cookie` value that keeps the token: for `seconds`, or until the browser closes."""
        lasting = "" if seconds is None else f"; Max-Age={seconds}"
        return f"{self.cookie}={token}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if self.secure else ''}{lasting}"

    def drop(self) -> str:
        """Return the `Set-Cookie` value that takes the token away."""
        return f"{self.cookie}=; Path=/; HttpOnly; SameSite=Strict{'; Secure' if self.secure else ''}; Max-Age=0"

    def carried(self, scope: Scope, what: str) -> str | None:
        """Return what `carry` gave the browser under this name, or None."""
        return _cookie(scope, f"{self.cookie}-{what}")

    def carries(self, scope: Scope, beginning: str) -> list[str]:
        """Return the names, as `carry` takes them, of all that begin so."""
        wanted = f"{self.cookie}-{beginning}".encode()
        pairs = (pair.partition(b"=")[0].strip() for line in _all(scope, b"cookie") for pair in line.split(b";"))
        whole = dict.fromkeys(name.decode("latin-1") for name in pairs if name.startswith(wanted))
        # What comes back in a header of ours is of our making: somebody else may have set a cookie of that name.
        return [one for name in whole if _NAME.fullmatch(one := name.removeprefix(f"{self.cookie}-"))]

    def carry(self, what: str, value: str, seconds: int) -> str:
        """Return the `Set-Cookie` value of something that comes back when another site sends the browser here."""
        return (
            f"{self.cookie}-{what}={value}; Path=/; HttpOnly; SameSite=Lax"
            f"{'; Secure' if self.secure else ''}; Max-Age={seconds}"
        )


def _cookie(scope: Scope, name: str) -> str | None:
    wanted = name.encode()
    pairs = (pair.partition(b"=") for line in _all(scope, b"cookie") for pair in line.split(b";"))
    found = [value.strip() for name, _, value in pairs if name.strip() == wanted]
    # Two of them were not both set by us, and nothing says which one was.
    return found[0].decode("latin-1") if len(found) == 1 and found[0] else None


def _all(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == wanted]
