"""How a token travels: in the answer's body and `Authorization`, or in a cookie.

Threat: a page of another site whose requests carry the cookie; a cookie that a script reads.
Source: FastAPI Users' documented transports; RFC 6750; OWASP ASVS 5.0 V3.3, V3.5; Fetch Metadata.

The cookie counts only where no page of another origin sent the request: the dialect has no other guard than
`SameSite=lax`, which a sibling host walks around.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fastapi.security import APIKeyCookie, OAuth2PasswordBearer
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from rimlock.web.credentials import bearer
from rimlock.web.problems import SAFE_HEADERS

if TYPE_CHECKING:
    from rimlock.web.browser import Browser
    from rimlock.web.credentials import Scope

__all__ = ["AuthenticationBackend", "BearerTransport", "CookieTransport", "JWTStrategy", "Transport", "foreign_page"]

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Transport(Protocol):
    """Takes a token from a request and puts one into an answer. `bodiless`: its answers have none."""

    scheme: Any
    bodiless: bool

    def token(self, scope: Scope) -> str | None:
        """Return the token a request carries."""
        ...

    def signed_in(self, token: str, seconds: int) -> Response:
        """Return the answer to a sign-in. `seconds`: how long the token lives."""
        ...

    def signed_out(self) -> Response:
        """Return the answer to a sign-out."""
        ...


class BearerTransport:
    """The token is in the body of the answer, and comes in `Authorization: Bearer`."""

    bodiless = False

    def __init__(self, tokenUrl: str) -> None:  # noqa: N803 - the name applications pass
        """`tokenUrl`: where the OpenAPI document says that tokens are got, relative to the server."""
        self.scheme = OAuth2PasswordBearer(tokenUrl, auto_error=False)

    def token(self, scope: Scope) -> str | None:
        """See Transport.token."""
        found = bearer(scope)
        return None if found is None else found.decode("latin-1")

    def signed_in(self, token: str, seconds: int) -> Response:
        """See Transport.signed_in. `expires_in` stands beside what the dialect has (RFC 6749 section 5.1)."""
        body = {"access_token": token, "token_type": "bearer", "expires_in": seconds}
        return JSONResponse(body, headers=SAFE_HEADERS)

    def signed_out(self) -> Response:
        """See Transport.signed_out."""
        return Response(status_code=204, headers=SAFE_HEADERS)


class CookieTransport:
    """The token is in a cookie that no script reads."""

    bodiless = True

    def __init__(
        self,
        cookie_name: str = "fastapiusersauth",
        cookie_max_age: int | None = None,
        cookie_path: str = "/",
        cookie_domain: str | None = None,
        cookie_secure: bool = True,  # noqa: FBT001, FBT002 - as applications pass them
        cookie_httponly: bool = True,  # noqa: FBT001, FBT002
        cookie_samesite: Literal["lax", "strict", "none"] = "lax",
    ) -> None:
        """The attributes of the cookie. Without `cookie_max_age` it is gone when the browser closes."""
        self.cookie_name = cookie_name
        self.cookie_max_age = cookie_max_age
        self.scheme = APIKeyCookie(name=cookie_name, auto_error=False)
        self._attributes: dict[str, Any] = {
            "path": cookie_path,
            "domain": cookie_domain,
            "secure": cookie_secure,
            "httponly": cookie_httponly,
            "samesite": cookie_samesite,
        }

    def token(self, scope: Scope) -> str | None:
        """See Transport.token. Of two cookies with the name neither counts: nothing says which one was set here."""
        wanted = self.cookie_name.encode()
        lines = (value for name, value in scope["headers"] if name == b"cookie")
        pairs = (pair.partition(b"=") for line in lines for pair in line.split(b";"))
        found = [value.strip() for name, _, value in pairs if name.strip() == wanted]
        return found[0].strip(b'"').decode("latin-1") if len(found) == 1 and found[0] else None

    def signed_in(self, token: str, seconds: int) -> Response:  # noqa: ARG002 - the cookie has a time of its own
        """See Transport.signed_in."""
        response = Response(status_code=204, headers=SAFE_HEADERS)
        response.set_cookie(self.cookie_name, token, max_age=self.cookie_max_age, **self._attributes)
        return response

    def signed_out(self) -> Response:
        """See Transport.signed_out."""
        response = Response(status_code=204, headers=SAFE_HEADERS)
        response.set_cookie(self.cookie_name, "", max_age=0, **self._attributes)
        return response


@dataclass(frozen=True, slots=True)
class JWTStrategy:
    """How tokens were made before: it says by which secret those that are still about are known.

    New ones are access tokens of Rimlock, whose lifetime is the setting `access_lifetime`.
    """

    secret: str | SecretStr
    lifetime_seconds: int | None = None
    token_audience: tuple[str, ...] | list[str] = ("fastapi-users:auth",)
    algorithm: str = "HS256"

    def __repr__(self) -> str:
        """Show no secret."""
        return f"JWTStrategy(algorithm={self.algorithm!r})"


@dataclass(frozen=True, slots=True, eq=False)
class AuthenticationBackend:
    """A name, for routes and operations, and how its tokens travel. `get_strategy`: see JWTStrategy."""

    name: str
    transport: Transport
    get_strategy: Callable[..., Any] | None = None


def foreign_page(scope: Scope, browser: Browser) -> bool:
    """Say whether a page of another origin sent this request, by which something would change."""
    if scope["type"] == "http" and scope["method"] in _HARMLESS:
        return False
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    origins = [value for name, value in headers if name == b"origin"]
    sites = [value for name, value in headers if name == b"sec-fetch-site"]
    if origins:
        return len(origins) > 1 or origins[0].decode("latin-1") not in browser.origins
    return bool(sites) and (len(sites) > 1 or sites[0] not in {b"same-origin", b"none"})
