"""SendGrid, by its interface for mails over HTTP.

Threat: a link that a service rewrites to count clicks, and so reads; a key in an error; an address it answers with.
Source: https://www.twilio.com/docs/sendgrid/api-reference/mail-send (v3); RFC 9110 section 15.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rimlock.features.mail.errors import NotSent

if TYPE_CHECKING:
    from httpx2 import AsyncClient

    from rimlock.core.mail_url import MailRoute
    from rimlock.features.mail.logic.composing import Mail

__all__ = ["SendGrid"]

CONNECT_SECONDS = 15.0
_TAKEN = 202
_ABOUT_THIS_MAIL = {400, 413}
_HEADERS = ("Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "Content-Language")


class SendGrid:
    """One account there."""

    def __init__(self, route: MailRoute, *, patience: float) -> None:
        """Open nothing yet."""
        self._route = route
        self._patience = patience

    def lane(self) -> _SendGridLane:
        """See Transport.lane."""
        return _SendGridLane(self._route, self._patience)


class _SendGridLane:
    def __init__(self, route: MailRoute, patience: float) -> None:
        self._route = route
        self._patience = patience
        self._client: AsyncClient | None = None

    async def send(self, mail: Mail) -> None:
        """See Lane.send."""
        from httpx2 import HTTPError

        client = self._client = self._client or self._opened()
        try:
            async with asyncio.timeout(self._patience):
                answer = await client.post("/v3/mail/send", json=_body(mail))
        except TimeoutError:
            raise NotSent("sendgrid: no answer in time", broken=True) from None
        except HTTPError as error:
            raise NotSent(f"sendgrid: {type(error).__name__}", broken=True) from None
        code = answer.status_code
        if code != _TAKEN:
            final = code in _ABOUT_THIS_MAIL
            raise NotSent(f"sendgrid: {code}", permanent=final, broken=not final)

    async def close(self) -> None:
        """See Lane.close."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await client.aclose()

    def _opened(self) -> AsyncClient:
        from httpx2 import AsyncClient, Timeout

        return AsyncClient(
            base_url=self._route.url,
            headers={"Authorization": f"Bearer {self._route.key}"},
            timeout=Timeout(self._patience, connect=min(CONNECT_SECONDS, self._patience)),
            follow_redirects=False,
        )


def _body(mail: Mail) -> dict[str, Any]:
    """Return the mail as it is asked for there. Links stay what they are, and nothing is counted."""
    letter = mail.letter
    said = [{"type": "text/plain", "value": letter.text}]
    said += [{"type": "text/html", "value": letter.html}] if letter.html is not None else []
    return {
        "personalizations": [{"to": [{"email": mail.to}]}],
        "from": {"email": mail.sender.address, "name": mail.sender.name},
        "subject": letter.subject,
        "content": said,
        "headers": {name: str(mail.content[name]) for name in _HEADERS},
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
    }
