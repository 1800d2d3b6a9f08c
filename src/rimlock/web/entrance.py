"""What somebody gets who came in: an access token, and a refresh token in the body or in the cookie.

Threat: a refresh token in a place where scripts, logs or caches find it.
Source: RFC 6749 section 5.1 (token response), OWASP ASVS 5.0 V3.3.4, V14.2.2.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rimlock.core.errors import AuthError, PasswordChangeRequired
from rimlock.core.login import Pending, SignedIn
from rimlock.core.tokens import Grant
from rimlock.crypto.opaque import mint_refresh
from rimlock.web.problems import SAFE_HEADERS, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from rimlock.core.accounts import Account
    from rimlock.core.devices import Devices
    from rimlock.core.principal import Principal
    from rimlock.core.sessions import Refreshed, Session
    from rimlock.core.tokens import AccessTokens
    from rimlock.crypto.secret import RootSecret
    from rimlock.web.browser import Browser

__all__ = ["Entrance"]

_STEPS: dict[str, type[AuthError]] = {"password_change": PasswordChangeRequired}
"""What a caller is told whose login is pending."""


class Entrance:
    """Makes the answer to a sign-in or a refresh."""

    def __init__(
        self, tokens: AccessTokens, root: RootSecret, browser: Browser, clock: Callable[[], float], devices: Devices
    ) -> None:
        """Everything it needs is fixed for the installation."""
        self._tokens = tokens
        self._root = root
        self._browser = browser
        self._clock = clock
        self._devices = devices
        self.renewed = 0
        """How many refreshes this process answered."""

    def admit(self, outcome: SignedIn | Pending) -> Response:
        """Answer a sign-in: with tokens, or with what has to be done before there are any."""
        if isinstance(outcome, Pending):
            return self._not_yet(outcome)
        session, account = outcome.session, outcome.account
        grant = Grant(
            user_id=session.user_id,
            session_id=session.id,
            roles=account.roles,
            epoch=account.epoch,
            auth_time=session.auth_time,
        )
        notes = self._devices.remember(outcome.notes, session.user_id, now=int(self._clock()))
        return self._answer(grant, session, notes)

    def _not_yet(self, pending: Pending) -> Response:
        """Refuse, and hand out what the step is done with. It is no token: nothing else takes it."""
        return problem(_STEPS[pending.step](), pending_token=pending.token, expires_in=pending.seconds)

    def renew(self, refreshed: Refreshed) -> Response:
        """Answer a refresh. The same generation gets the same refresh token, however often it is asked for."""
        grant = Grant(
            user_id=refreshed.user_id,
            session_id=refreshed.session_id,
            roles=refreshed.roles,
            epoch=refreshed.epoch,
            auth_time=refreshed.auth_time,
        )
        self.renewed += 1
        return self._answer(grant, refreshed)

    def reissue(self, account: Account, *, session_id: str, auth_time: int) -> Response:
        """Answer with an access token for a session that goes on. Its refresh token stays what it is."""
        grant = Grant(
            user_id=account.user_id,
            session_id=session_id,
            roles=account.roles,
            epoch=account.epoch,
            auth_time=auth_time,
        )
        access, lifetime = self._tokens.sign(grant, self._clock())
        body = {"access_token": access, "token_type": "Bearer", "expires_in": lifetime}
        return Response(json.dumps(body), media_type="application/json", headers=SAFE_HEADERS)

    def principal_of(self, access_token: bytes) -> Principal:
        """Return whom a genuine access token speaks for, even if it was revoked since.

        For profiles, where tokens travel in other places than the header. Raises CredentialInvalid, CredentialExpired.
        """
        return self._tokens.read(access_token, self._clock())

    def session_of(self, access_token: bytes) -> str:
        """Return the session of a genuine access token that has not expired, even if it was revoked since.

        For signing out, which has to end the session of a token whose roles have changed too. Raises
        CredentialInvalid, CredentialExpired.
        """
        return self._tokens.read(access_token, self._clock()).credential_id

    def _answer(self, grant: Grant, kept: Session | Refreshed, notes: str | None = None) -> Response:
        now = self._clock()
        access, lifetime = self._tokens.sign(grant, now)
        refresh = mint_refresh(self._root, grant.session_id, kept.generation)
        left = max(0, kept.expires_at - int(now))
        body: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": lifetime}
        if kept.transport == "cookie":
            cookies = [self._browser.keep(refresh, left if kept.remembered else None)]
            if notes is not None:
                cookies.append(self._browser.keep_notes(notes, self._devices.seconds))
        else:
            cookies = []
            body |= {"refresh_token": refresh, "refresh_expires_in": left}
            if notes is not None:
                body["device_token"] = notes
        response = Response(json.dumps(body), media_type="application/json", headers=SAFE_HEADERS)
        for cookie in cookies:
            response.headers.append("Set-Cookie", cookie)
        return response
