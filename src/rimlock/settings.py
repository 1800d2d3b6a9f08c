"""Everything that can be set, with its default: as keyword arguments, or from the environment.

Threat: a sample secret in production; a wildcard origin with credentials; a dangerous switch nobody remembers.
Source: OWASP ASVS 5.0 V13.2.3, V3.4.2; design section 7.
"""

from __future__ import annotations

import json
import os
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from rimlock.core.access import Stage
from rimlock.core.errors import ConfigurationError
from rimlock.core.mail_url import mail_route, sender
from rimlock.core.sessions import Lifetimes
from rimlock.core.tokens import MAX_LIFETIME

__all__ = ["DESKTOP_ORIGINS", "Algorithm", "Settings", "from_environment"]

Algorithm = Literal["EdDSA", "ES256", "RS256", "HS256"]
Registration = Literal["open", "invitation", "approval", "closed"]
OnLimitsDown = Literal["database", "refuse", "insecure_allow"]
OnStale = Literal["refuse", "ask"]

DESKTOP_ORIGINS = ("tauri://localhost", "http://tauri.localhost", "https://tauri.localhost")
"""Where the pages of a Tauri application come from, on the three desktop systems."""

SECRET_FILE = "rimlock.secret"
DEFAULT_DATABASE = "sqlite:///rimlock.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one installation. Raises ConfigurationError, with the mend in the sentence.

    What stands under each field is its meaning; the reference page is made of it.
    """

    secrets: Sequence[str] = field(repr=False)
    """Root secrets of at least 32 bytes. The first signs and seals, all of them verify and unseal."""
    jwt_secret: str | None = field(default=None, repr=False)
    """The key of the algorithm HS256, for systems that verify our tokens with a shared secret."""
    database: str = field(default=DEFAULT_DATABASE, repr=False)
    """Where accounts are kept: `sqlite:///file.db`, or `postgresql://user:password@host/name`."""
    issuer: str = "http://localhost:8000"
    """The public address of this service: `iss` of access tokens, and an origin that may send the refresh cookie."""
    audience: str | None = None
    """`aud` of access tokens. The issuer, unless set."""
    algorithm: Algorithm = "EdDSA"
    """How access tokens are signed."""
    prefix: str = "/auth"
    """The path below which our routes stand."""
    origins: Sequence[str] = ()
    """Exact browser origins that may send the refresh cookie, like `https://app.example.com`. No wildcard."""
    access_lifetime: timedelta = timedelta(minutes=15)
    """How long an access token is good; at most 24 hours."""
    session_lifetime: timedelta = timedelta(days=30)
    """How long a session lasts at most, however often it is refreshed."""
    session_idle: timedelta = timedelta(days=14)
    """After how long without a refresh a session is over."""
    browser_session: timedelta = timedelta(hours=24)
    """How long a session lasts at most that was not to be remembered."""
    refresh_grace: timedelta = timedelta(seconds=30)
    """How long a used refresh token still gets the same successor; 0 to 300 seconds."""
    signing_key_age: timedelta = timedelta(days=90)
    """After how long a new signing key is made."""
    password_minimum: int = 15
    """How many characters a new password needs; 8 is the least."""
    password_composition: Sequence[str] = ()
    """Kinds of character a new password must have: `upper`, `lower`, `digit`, `symbol`. None is the better choice."""
    product: Sequence[str] = ()
    """Words a password may not consist of, like the name of the product."""
    hash_workers: int = 1
    """How many passwords are hashed at once."""
    hash_queue: int = 16
    """How many sign-ins may wait for that; the next one is answered 503 with `Retry-After`."""
    backend_url: str = ""
    """The address links and redirects lead back to, like `https://api.example.com`. Empty: the issuer's."""
    frontend_url: str = ""
    """The address of your own pages, where links in mails lead. Empty: to the pages of ours."""
    mail_url: str = field(default="console:", repr=False)
    """How mails are sent: `smtp://user:password@host:587`, `smtps://…:465`, `sendgrid://KEY`; in development
    `console:` or `file:FOLDER`; `none:` leaves them in the outbox for another process."""
    mail_from: str = "Rimlock <noreply@localhost>"
    """Who mails are from."""
    mail_templates: Path | None = None
    """A folder with templates of your own, which go before ours: `<kind>.<locale>.subject`, `.txt` and `.html`."""
    mail_kept: timedelta = timedelta(days=30)
    """How long is remembered that a mail was sent, or could not be."""
    product_name: str = ""
    """What your product is called in mails. Empty: the name in `mail_from`."""
    locale: str = "en"
    """The language of messages to people who chose none."""
    verification_lifetime: timedelta = timedelta(minutes=30)
    """How long a link is good that proves an address."""
    recovery_lifetime: timedelta = timedelta(hours=1)
    """How long a link is good that lets somebody choose another password."""
    require_verified: bool = False
    """Refuse the sign-in of who has not proven their address yet."""
    social: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Providers people sign in with, by name: `client_id`, `client_secret`, `issuer` and so on. In the environment
    `{PROVIDER}_CLIENT_ID`, `{PROVIDER}_CLIENT_SECRET`, `{PROVIDER}_ISSUER` …, or all of them as JSON."""
    registration: Registration = "open"
    """Who may make an account: anybody (`open`), who has a code (`invitation`), who is let in by an administrator
    afterwards (`approval`), or administrators only (`closed`)."""
    invitation_lifetime: timedelta = timedelta(days=7)
    """How long an invitation is good, unless it says otherwise."""
    temporary_password: timedelta = timedelta(hours=24)
    """How long a password is good that an administrator had made for somebody."""
    login_rate: int = 5
    """How many sign-ins may fail within a minute, for one address and for one account."""
    lockout_after: int = 5
    """After how many failures in a row an address is locked out of an account."""
    lockout_time: timedelta = timedelta(minutes=15)
    """How long it is locked out."""
    failures_in_all: int = 100
    """After how many failures in a row an account takes sign-ins from known devices only, until one succeeds."""
    known_device: timedelta = timedelta(days=180)
    """How long a device is known after a sign-in; known devices are not locked out by what others do."""
    registration_rate: int = 100
    """How many accounts one address may register within an hour."""
    limits_url: str | None = field(default=None, repr=False)
    """A Valkey or Redis that counts attempts, instead of the database."""
    on_limits_down: OnLimitsDown = "database"
    """What happens when that does not answer: count in the `database`, `refuse` with 503, or `insecure_allow`."""
    trusted_proxies: Sequence[str] = ()
    """Networks whose `X-Forwarded-For` is believed, like `10.0.0.0/8`. Without them the header changes nothing."""
    usage: bool = True
    """Count who calls what, with which credential."""
    usage_kept: timedelta = timedelta(days=90)
    """How long those counts are kept."""
    audit_kept: timedelta = timedelta(days=400)
    """How long the audit is kept."""
    api_key_headers: Sequence[str] = ("X-API-Key",)
    """Headers in which API keys are looked for, besides `Authorization: Bearer`."""
    api_key_query: Sequence[str] = ()
    """Query parameters in which API keys are looked for. They are kept out of the logs."""
    api_key_paths: Sequence[str] = ()
    """Paths with an API key in them, like `/t/{key}/**`. They are kept out of the logs."""
    api_key_prefix: str = "rl"
    """How API keys issued here begin."""
    config: Path | None = None
    """The rule file. From the environment: `rimlock.toml` in the working directory, when it is there."""
    default_stage: Stage = Stage.OPEN
    """The stage of routes no rule names."""
    poll_interval: timedelta = timedelta(milliseconds=500)
    """How often PostgreSQL is asked for revocations."""
    max_staleness: timedelta = timedelta(seconds=5)
    """After how long without an answer about revocations `on_stale` applies."""
    on_stale: OnStale = "refuse"
    """What happens then: `refuse` with 503, or `ask` the database for each request."""
    listen: bool = True
    """Hold one PostgreSQL connection for `LISTEN`, to hear of revocations at once."""
    redis_url: str | None = field(default=None, repr=False)
    """A Valkey or Redis that shares the list of revocations."""
    create_tables: bool | None = None
    """Make our tables where none of them exist. Unless set: on SQLite only."""
    insecure_cookies: bool = False
    """Leave `Secure` and `__Host-` off the refresh cookie, for a host name without TLS."""
    insecure_smtp: bool = False
    """Send mails by `smtp://` to another machine without TLS: links and the password of the mail server in clear."""

    def __post_init__(self) -> None:
        """Refuse what cannot be safe. Raises ConfigurationError."""
        _check_choices(self)
        _check_urls(self)
        _check_times(self)
        _check_mail(self)
        if self.algorithm == "HS256" and not self.jwt_secret:
            raise ConfigurationError("HS256 signs with a shared secret; set JWT_SECRET to at least 32 random bytes")

    @property
    def lifetimes(self) -> Lifetimes:
        """The lifetimes of sessions, in seconds."""
        return Lifetimes(
            absolute=int(self.session_lifetime.total_seconds()),
            idle=int(self.session_idle.total_seconds()),
            browser=int(self.browser_session.total_seconds()),
            grace=int(self.refresh_grace.total_seconds()),
        )

    @property
    def public_url(self) -> str:
        """Where our routes are reached from outside, the prefix included, without a slash at the end."""
        return (self.backend_url or self.issuer).rstrip("/") + self.prefix

    @property
    def pages_url(self) -> str:
        """Where links in mails lead, without a slash at the end: to the host's own pages, or to ours."""
        return self.frontend_url.rstrip("/") or self.public_url

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The trusted proxies, as networks. Raises ConfigurationError."""
        try:
            return tuple(ip_network(proxy) for proxy in self.trusted_proxies)
        except ValueError as error:
            raise ConfigurationError(f"trusted_proxies: {error}; write networks, like 10.0.0.0/8") from None


def from_environment(environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Read the settings from environment variables; `given` keyword arguments win. Raises ConfigurationError.

    Every setting is `RIMLOCK_<NAME>` in capitals; `DATABASE_URL`, `JWT_SECRET` and `ALLOWED_ORIGINS` are understood
    as well. Lists are separated by commas, durations are seconds. Without any secret, a database file of our own
    gets a random one in a file beside it that only its owner can read.
    """
    env = os.environ if environment is None else environment
    found: dict[str, Any] = {}
    for name in Settings.__dataclass_fields__:
        text = env.get(f"RIMLOCK_{name.upper()}") or env.get(_ALIASES.get(name, ""))
        if text:
            found[name] = _parsed(name, text)
    if social := {**_social(env), **found.get("social", {})}:
        found["social"] = social
    found.update(given)
    if "config" not in found and Path("rimlock.toml").exists():
        found["config"] = Path("rimlock.toml")
    if not found.get("secrets"):
        found["secrets"] = _secrets(found.get("jwt_secret"), found.get("database", DEFAULT_DATABASE))
    return Settings(**found)


_ALIASES = {
    "database": "DATABASE_URL",
    "jwt_secret": "JWT_SECRET",
    "origins": "ALLOWED_ORIGINS",
    "redis_url": "REDIS_URL",
    "backend_url": "BACKEND_URL",
    "frontend_url": "FRONTEND_URL",
}
_LISTS = {
    "secrets",
    "origins",
    "password_composition",
    "product",
    "api_key_headers",
    "api_key_query",
    "api_key_paths",
    "trusted_proxies",
}
_NUMBERS = {
    "password_minimum",
    "hash_workers",
    "hash_queue",
    "login_rate",
    "lockout_after",
    "failures_in_all",
    "registration_rate",
}
_SWITCHES = {"listen", "create_tables", "insecure_cookies", "insecure_smtp", "usage", "require_verified"}
_TIMES = {
    "verification_lifetime",
    "recovery_lifetime",
    "invitation_lifetime",
    "temporary_password",
    "lockout_time",
    "known_device",
    "mail_kept",
    "usage_kept",
    "audit_kept",
    "access_lifetime",
    "session_lifetime",
    "session_idle",
    "browser_session",
    "refresh_grace",
    "signing_key_age",
    "poll_interval",
    "max_staleness",
}


def _parsed(name: str, text: str) -> Any:
    try:
        if name in _LISTS:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if name in _TIMES:
            return timedelta(seconds=float(text))
        if name in _NUMBERS:
            return int(text)
        if name in _SWITCHES:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        readers: dict[str, Any] = {"config": Path, "mail_templates": Path, "default_stage": Stage, "social": _providers}
        return readers.get(name, str)(text)
    except (ValueError, KeyError, OverflowError):
        raise ConfigurationError(f"RIMLOCK_{name.upper()} is not understood; write {_wanted(name)}") from None


def _wanted(name: str) -> str:
    """Say what may stand in the variable of a setting."""
    if name in _TIMES:
        return "seconds, like 900"
    if name in _NUMBERS:
        return "a whole number"
    if name in _SWITCHES:
        return "true or false"
    if name == "social":
        return 'JSON, like {"google": {"client_id": "…", "client_secret": "…"}}'
    return f"one of {', '.join(Stage)}"


_OF_PROVIDERS = (
    "client_id",
    "client_secret",
    "issuer",
    "title",
    "scopes",
    "trust_email",
    "tenant",
    "team_id",
    "key_id",
    "private_key",
)


def _social(env: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Find providers by `{PROVIDER}_CLIENT_ID`: those that are known here, and others that name their issuer."""
    from rimlock.features.social.logic import PRESETS

    names = [key.removesuffix("_CLIENT_ID") for key, value in env.items() if key.endswith("_CLIENT_ID") and value]
    chosen = [name for name in names if name.lower() in PRESETS or env.get(f"{name}_ISSUER")]
    return {
        name.lower().replace("_", "-"): {
            one: value for one in _OF_PROVIDERS if (value := env.get(f"{name}_{one.upper()}"))
        }
        for name in chosen
    }


def _providers(text: str) -> dict[str, dict[str, str]]:
    found = json.loads(text)
    if not isinstance(found, dict) or not all(_is_texts(one) for one in found.values()):
        raise ValueError
    return found


def _is_texts(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(one, str) for one in found.values())


def _secrets(jwt_secret: str | None, database: str) -> Sequence[str]:
    """Find a root secret for somebody who set none. Raises ConfigurationError where that would not be safe."""
    if jwt_secret:
        return (jwt_secret,)
    if not database.startswith("sqlite"):
        raise ConfigurationError("set RIMLOCK_SECRETS to at least 32 random bytes, the same for every process")
    place = Path(database.partition("///")[2] or ".").absolute().parent / SECRET_FILE
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return (_settled(place),)
    except OSError:
        raise ConfigurationError(
            f"{place.name} cannot be written beside the database; set RIMLOCK_SECRETS instead"
        ) from None
    with os.fdopen(handle, "w") as file:
        file.write(made := randomness.token_urlsafe(48))
    return (made,)


def _settled(place: Path) -> str:
    """Read the secret another process is perhaps writing at this moment."""
    from time import sleep

    for _ in range(50):
        if text := place.read_text().strip():
            return text
        sleep(0.02)
    raise ConfigurationError(f"{place.name} is empty; delete it, or set RIMLOCK_SECRETS")


def _check_urls(settings: Settings) -> None:
    if not settings.prefix.startswith("/") or settings.prefix.endswith("/"):
        raise ConfigurationError(f"prefix {settings.prefix!r} must begin with a slash and not end with one, like /auth")
    issuer = urlsplit(settings.issuer)
    if issuer.scheme not in {"http", "https"} or not issuer.netloc or issuer.query or issuer.fragment:
        raise ConfigurationError("issuer must be the public address of this service, like https://api.example.com")
    for origin in settings.origins:
        _check_origin(origin)
    for name in ("backend_url", "frontend_url"):
        _check_base(name, getattr(settings, name))


def _check_base(name: str, url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment):
        raise ConfigurationError(f"{name} must be an address of pages, like https://app.example.com")


def _check_origin(origin: str) -> None:
    if "*" in origin:
        raise ConfigurationError(
            "a wildcard origin with credentials lets every site act as your users; "
            "list each origin exactly, like https://app.example.com"
        )
    parts = urlsplit(origin)
    if not parts.scheme or not parts.netloc or parts.path or parts.query or parts.fragment:
        raise ConfigurationError(f"{origin!r} is not an origin; write scheme and host, like https://app.example.com")


def _check_mail(settings: Settings) -> None:
    mail_route(settings.mail_url, insecure=settings.insecure_smtp)
    sender(settings.mail_from)
    if settings.mail_templates is not None and not settings.mail_templates.is_dir():
        raise ConfigurationError("mail_templates is no folder that can be read; make it, or unset it")
    if not settings.product_name.isprintable():
        raise ConfigurationError("product_name must be one line of visible characters")


def _check_times(settings: Settings) -> None:
    for name in _TIMES - {"refresh_grace"}:
        if getattr(settings, name) <= timedelta(0):
            raise ConfigurationError(f"{name} must be longer than nothing")
    if settings.refresh_grace < timedelta(0) or settings.refresh_grace > timedelta(minutes=5):
        raise ConfigurationError("refresh_grace must lie between 0 and 300 seconds")
    if settings.access_lifetime > timedelta(seconds=MAX_LIFETIME):
        raise ConfigurationError("access_lifetime may be at most 24 hours; sessions are what lasts longer")


_CHOICES = {
    "algorithm": Algorithm,
    "registration": Registration,
    "on_stale": OnStale,
    "on_limits_down": OnLimitsDown,
}


def _check_choices(settings: Settings) -> None:
    for name in _LISTS:
        if isinstance(getattr(settings, name), (str, bytes)):
            raise ConfigurationError(f"{name} must be a list: one text alone would be taken letter by letter")
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in get_args(choices):
            raise ConfigurationError(f"{name} must be one of {', '.join(get_args(choices))}")
    for name in ("login_rate", "lockout_after", "failures_in_all", "registration_rate"):
        if getattr(settings, name) < 1:
            raise ConfigurationError(f"{name} must be at least 1")
    _ = settings.proxies
    if settings.hash_workers < 1 or settings.hash_queue < 0:
        raise ConfigurationError("hash_workers must be at least 1 and hash_queue not negative")
