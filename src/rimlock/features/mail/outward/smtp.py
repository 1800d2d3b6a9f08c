"""SMTP: one connection for several mails, and words of ours for what a server says.

Threat: a password or a link sent in clear because somebody took STARTTLS out of the answer; a server that hangs, lies,
    or breaks off; a wrong password that kills every message that waits.
Source: RFC 5321 sections 4.2 and 4.5.3.2; RFC 3207 section 6; RFC 8314 section 3; RFC 6531.

What is refused at RCPT or DATA with 5xx is about this mail and final. Everything else is about the way: it is tried
again, for an operator can mend it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rimlock.features.mail.errors import NotSent

if TYPE_CHECKING:
    from aiosmtplib import SMTP

    from rimlock.core.mail_url import MailRoute
    from rimlock.features.mail.logic.composing import Mail

__all__ = ["Smtp"]

CONNECT_SECONDS = 15.0
FAREWELL_SECONDS = 2.0
_FINAL = {"rcpt", "data"}
_NEEDS_LOGIN = 530
_LEAST_REPLY, _LEAST_FINAL, _LAST, _CLOSING = 400, 500, 599, 421


class Smtp:
    """One mail server. `patience`: seconds a mail may take in all."""

    def __init__(self, route: MailRoute, *, patience: float) -> None:
        """Open nothing yet."""
        self._route = route
        self._patience = patience

    def lane(self) -> _SmtpLane:
        """See Transport.lane."""
        return _SmtpLane(self._route, self._patience)


class _SmtpLane:
    def __init__(self, route: MailRoute, patience: float) -> None:
        self._route = route
        self._patience = patience
        self._client: SMTP | None = None
        self._stage = "connect"

    async def send(self, mail: Mail) -> None:
        """See Lane.send."""
        from aiosmtplib import SMTPException, SMTPResponseException, SMTPServerDisconnected, SMTPTimeoutError

        try:
            async with asyncio.timeout(self._patience):
                await self._hand_over(mail)
        except SMTPResponseException as error:
            self._drop()
            raise self._refused(error.code) from None
        except (TimeoutError, SMTPTimeoutError):
            self._drop()
            raise NotSent(f"{self._stage}: no answer in time", broken=True) from None
        except (SMTPServerDisconnected, ConnectionError):
            self._drop()
            raise NotSent(f"{self._stage}: the server hung up or was not there", broken=True) from None
        except (SMTPException, OSError, ValueError) as error:
            self._drop()
            raise NotSent(f"{self._stage}: {type(error).__name__}", broken=True) from None
        except BaseException:
            self._drop()
            raise

    async def close(self) -> None:
        """See Lane.close."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(Exception):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await client.quit()
        client.close()

    async def _hand_over(self, mail: Mail) -> None:
        client = self._client or await self._connected(mail.sender.domain)
        if mail.needs_utf8 and not client.supports_extension("smtputf8"):
            raise NotSent("the server takes no address with such letters", permanent=True)
        self._stage = "mail"
        await client.mail(mail.sender.address, options=["SMTPUTF8"] if mail.needs_utf8 else [], encoding=_code(mail))
        self._stage = "rcpt"
        await client.rcpt(mail.to, encoding=_code(mail))
        self._stage = "data"
        await client.data(mail.content.as_bytes())

    async def _connected(self, domain: str) -> SMTP:
        from aiosmtplib import SMTP

        route, options = self._route, _greeting(domain)
        self._stage = "connect"
        self._client = client = SMTP(
            hostname=route.host,
            port=route.port,
            use_tls=route.tls == "implicit",
            start_tls=False,
            timeout=self._patience,
            **options,
        )
        await client.connect(timeout=min(CONNECT_SECONDS, self._patience))
        await client.ehlo()
        if route.tls == "starttls":
            self._stage = "starttls"
            await client.starttls()
            await client.ehlo()
        if route.user is not None and route.password is not None:
            self._stage = "auth"
            await client.login(route.user, route.password)
        return client

    def _refused(self, code: int) -> NotSent:
        """Put a reply into words. One that is no refusal at all (a server that lies) is no yes either."""
        if not _LEAST_REPLY <= code <= _LAST:
            return NotSent(f"{self._stage}: a reply that means nothing", broken=True)
        final = self._stage in _FINAL and _LEAST_FINAL <= code != _NEEDS_LOGIN
        about_the_way = self._stage not in _FINAL or code in {_CLOSING, _NEEDS_LOGIN}
        return NotSent(f"{self._stage}: {code}", permanent=final, broken=about_the_way)

    def _drop(self) -> None:
        """Leave without a word: after a failure nobody knows what the other side takes the next line for."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _code(mail: Mail) -> str:
    return "utf-8" if mail.needs_utf8 else "ascii"


def _greeting(domain: str) -> dict[str, Any]:
    """Name the sender's domain, not this machine: its name is nobody's business, and looking it up takes time."""
    return {"local_hostname": domain} if domain.isascii() else {}
