"""Where mails leave by: what `mail_url` and `mail_from` say, judged when the settings are made.

Threat: a password that leaves in clear because a server offered no TLS; an error that repeats a setting with its key.
Source: RFC 8314 section 3 (TLS for submission); OWASP ASVS 5.0 V12.3.1, V13.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from rimlock.core.errors import ConfigurationError

__all__ = ["MailRoute", "Sender", "mail_route", "recipient", "sender"]

Kind = Literal["smtp", "sendgrid", "console", "file", "none"]
Tls = Literal["implicit", "starttls", "none"]

SENDGRID = "https://api.sendgrid.com"
_FORMS = "smtp://user:password@host:587, smtps://…:465, sendgrid://KEY, console:, file:FOLDER or none:"
_ESCAPED = "in a password # ? / and @ are written %23 %3F %2F %40"
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRoute:
    """How mails leave. `url`: of SendGrid's interface; `folder`: for files."""

    kind: Kind
    host: str = ""
    port: int = 0
    tls: Tls = "none"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    url: str = ""
    key: str = field(default="", repr=False)
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who mails are from: a name for people, and an address in ASCII or, where it has to be, in UTF-8."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


def mail_route(url: str, *, insecure: bool = False) -> MailRoute:
    """Read `mail_url`. `insecure`: a server elsewhere may go without TLS. Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        port = parts.port if parts.scheme in _PORTS else None
    except ValueError:
        raise _wrong(f"it cannot be read; {_ESCAPED}") from None
    if parts.scheme in _PORTS:
        return _smtp(parts, port or _PORTS[parts.scheme], insecure=insecure)
    if parts.scheme == "sendgrid":
        return _sendgrid(parts)
    if parts.scheme == "file":
        return _folder(url)
    if url in {"console:", "none:"}:
        return MailRoute(kind="console" if url == "console:" else "none")
    raise _wrong("it begins with none of the known ways")


def sender(text: str) -> Sender:
    """Read `mail_from`, like `Lab <lab@example.com>`. Raises ConfigurationError."""
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if not text.isprintable() or not local or not domain or " " in address or not _whole(text, address):
        raise ConfigurationError("mail_from must be one address, like Lab <noreply@lab.example.com>")
    return Sender(name, address if domain == "localhost" else recipient(address, "mail_from must be a real address"))


def recipient(address: str, complaint: str = "nothing can be sent to this address") -> str:
    """Return an address as an envelope takes it: the domain in ASCII, the name as it is. Raises ConfigurationError."""
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(address, check_deliverability=False, allow_quoted_local=False)
    except (EmailNotValidError, UnicodeError):
        raise ConfigurationError(complaint) from None
    return f"{found.local_part}@{found.ascii_domain}"


def _smtp(parts: SplitResult, port: int, *, insecure: bool) -> MailRoute:
    host = parts.hostname or ""
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise _wrong(f"only a server and its port stand there; {_ESCAPED}")
    if (parts.username is None) != (parts.password is None):
        raise _wrong("a user needs a password, and a password a user")
    starttls: Tls = "none" if insecure or _loopback(host) else "starttls"
    return MailRoute(
        kind="smtp",
        host=host,
        port=port,
        tls="implicit" if parts.scheme == "smtps" else starttls,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def _sendgrid(parts: SplitResult) -> MailRoute:
    """`sendgrid://KEY`, or `sendgrid://KEY@host` for another of its places; without TLS on this machine alone."""
    key, at, host = parts.netloc.partition("@")
    if not key or not key.isprintable() or (at and not host):
        raise _wrong("the key is missing after sendgrid://")
    near = _loopback(host.rpartition(":")[0] or host)
    return MailRoute(kind="sendgrid", key=unquote(key), url=f"http{'' if near else 's'}://{host}" if host else SENDGRID)


def _folder(url: str) -> MailRoute:
    place = url.removeprefix("file:")
    if place.startswith("//"):
        place = place.removeprefix("//")
    if not place:
        raise _wrong("the folder is missing after file:")
    return MailRoute(kind="file", folder=Path(unquote(place)))


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _whole(text: str, address: str) -> bool:
    """Say whether a text is one address and nothing beside it: parsers take what they like of a list."""
    return text == address or (text.endswith(f"<{address}>") and text.count("@") == 1 and "," not in text)


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"mail_url: {what}; write {_FORMS}")
