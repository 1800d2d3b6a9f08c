"""Makes each part of an installation out of its settings.

Threat: a part built in two places, with different settings in each.
Source: design section 2.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rimlock.core import audit
from rimlock.core.access import Permissions
from rimlock.core.devices import Devices
from rimlock.core.errors import ConfigurationError
from rimlock.core.follower import Bell, follow
from rimlock.core.hashing import HashingPool
from rimlock.core.limits import Limits
from rimlock.core.limits_naming import LimitRules, Naming
from rimlock.core.login import refuse_unverified
from rimlock.core.outbox import Outbox
from rimlock.core.sessions import Device
from rimlock.core.signing import Signing
from rimlock.core.tokens import AccessTokens, TokenSettings, VerifiedTokens
from rimlock.crypto.passwords.policy import PasswordPolicy
from rimlock.crypto.secret import RootSecret
from rimlock.feature import Context, Feature
from rimlock.web import redaction
from rimlock.web.addresses import client_address
from rimlock.web.browser import Browser
from rimlock.web.credentials import BearerReader, Credentials
from rimlock.web.entrance import Entrance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from rimlock.core.clock import Clock
    from rimlock.core.database import Database, Record, Transaction
    from rimlock.core.events import Event
    from rimlock.core.follower import Follower
    from rimlock.core.limits_counting import Counters
    from rimlock.core.login import Policy
    from rimlock.core.mapped_standing import MappedAccounts
    from rimlock.core.revocations import Revocations
    from rimlock.core.rulefile import RuleFile
    from rimlock.crypto.passwords.hashes import PasswordHasher
    from rimlock.feature import Reaction
    from rimlock.settings import Settings
    from rimlock.web.addresses import Network

__all__ = [
    "all_features",
    "check_schema",
    "check_users",
    "context",
    "credentials",
    "follower",
    "host_accounts",
    "permissions",
    "policies",
    "recorder",
    "redact_logs",
    "signing",
    "text_of",
    "token_settings",
    "with_others",
]

KEY_OVERLAP_SECONDS = 60


def root_secret(settings: Settings) -> RootSecret:
    """Return the secret every key is derived from. Raises ConfigurationError for one that could be guessed."""
    try:
        return RootSecret(settings.secrets)
    except ValueError as error:
        raise ConfigurationError(f"RIMLOCK_SECRETS: {error}") from None


def permissions(file: RuleFile, roles: Mapping[str, Iterable[str]]) -> Permissions:
    """Return what roles allow: those of the file over those given in code."""
    return Permissions({**{role: frozenset(held) for role, held in roles.items()}, **file.permissions.by_role})


def token_settings(settings: Settings) -> TokenSettings:
    """Return what access tokens say."""
    return TokenSettings(
        issuer=settings.issuer,
        audience=settings.audience or settings.issuer,
        lifetime=int(settings.access_lifetime.total_seconds()),
    )


def signing(settings: Settings, database: Database, root: RootSecret, clock: Clock) -> Signing:
    """Return the signing keys, not yet opened."""
    return Signing(
        database=database,
        root=root,
        clock=clock,
        algorithm=settings.algorithm,
        shared=settings.jwt_secret if settings.algorithm == "HS256" else None,
        overlap=int(settings.access_lifetime.total_seconds()) + KEY_OVERLAP_SECONDS,
        age=int(settings.signing_key_age.total_seconds()),
    )


def follower(settings: Settings, database: Database, revocations: Revocations) -> Follower:
    """Return the follower that fits the database and the settings."""
    return follow(
        database,
        revocations,
        interval=settings.poll_interval.total_seconds(),
        max_staleness=settings.max_staleness.total_seconds(),
        listen=settings.listen,
        bell=_bell(settings),
    )


def context(
    settings: Settings, *, tokens: AccessTokens, hasher: PasswordHasher, root: RootSecret, clock: Clock, **parts: Any
) -> Context:
    """Return what features may use."""
    browser = Browser.of(settings.origins, settings.issuer, insecure=settings.insecure_cookies)
    devices = Devices(root, int(settings.known_device.total_seconds()))
    return Context(
        settings=settings,
        clock=clock,
        root=root,
        passwords=HashingPool(hasher, workers=settings.hash_workers, queue_limit=settings.hash_queue),
        password_policy=_password_policy(settings),
        lifetimes=settings.lifetimes,
        limits=_limits(settings, parts["database"], root, clock),
        post=Outbox(root, clock),
        devices=devices,
        entrance=Entrance(tokens, root, browser, clock, devices),
        browser=browser,
        device=_describing(settings.proxies, browser),
        **parts,
    )


def credentials(
    given: Context,
    features: Iterable[Feature],
    tokens: AccessTokens,
    verified: VerifiedTokens,
    *,
    reload_keys: Callable[[], Awaitable[None]],
) -> Credentials:
    """Return the readers of all credentials, those of access tokens first."""
    bearer = BearerReader(tokens, verified, given.revocations, reload_keys)
    others = [reader for feature in features for reader in feature.readers(given)]
    return Credentials([bearer, *others], given.follower, given.settings.on_stale, given.clock, given.retirements)


def redact_logs(settings: Settings) -> None:
    """Keep secrets out of the logs that travel in addresses: in ours, and in all where keys may travel there."""
    anywhere = settings.api_key_query or settings.api_key_paths
    redaction.install(
        redaction.Redaction(
            query=settings.api_key_query,
            paths=settings.api_key_paths,
            key_prefix=settings.api_key_prefix,
            below="" if anywhere else f"{settings.prefix}/",
        )
    )


def policies(settings: Settings, given: Iterable[Policy]) -> tuple[Policy, ...]:
    """Return who decides on sign-ins: the settings first, then the host's own."""
    return (*((refuse_unverified,) if settings.require_verified else ()), *given)


def recorder(features: Iterable[Feature], given: Context) -> Record:
    """Return what ends every transaction with events: what features do about them, then the audit of it all."""
    reactions: defaultdict[type[Event], list[Reaction]] = defaultdict(list)
    for feature in features:
        for kind, reaction in feature.reactions(given).items():
            reactions[kind].append(reaction)

    def record(tx: Transaction) -> None:
        for event in tx.events:  # grows while features react
            for reaction in reactions.get(type(event), ()):
                reaction(tx, event)
        audit.record(tx)

    return record


def all_features(file: RuleFile) -> tuple[Feature, ...]:
    """Return the features an application gets that names none."""
    from rimlock.features import standard

    return standard(file)


def host_accounts(given: Context) -> MappedAccounts | None:
    """Return where standings come from, when the users are in a table of the host's."""
    beside: Callable[[Clock], MappedAccounts] | None = getattr(given.users, "accounts", None)
    return None if beside is None else beside(given.clock)


def text_of(host: MappedAccounts | None, user_id: object) -> str:
    """Return the id of a user as text, from a key of the host's table or from text."""
    if host is None or isinstance(user_id, str):
        return str(user_id)
    return host.users.columns.key.text(user_id) or ""


async def check_users(given: Context) -> None:
    """Return when the host's own table of users is there, where one was given. Raises ConfigurationError."""
    if given.database.host is not None:
        await given.database.read(given.database.host.users.require_there)


def with_others(chosen: Iterable[Feature], others: Iterable[Feature]) -> tuple[Feature, ...]:
    """Return the features with others beside them, or in place of those with the same name."""
    named = {one.name: one for one in others}
    kept = [named.pop(one.name, one) for one in chosen]
    return (*kept, *named.values())


async def check_schema(settings: Settings, database: Database) -> None:
    """Make our tables where that is wanted and none exist; refuse any that are not of this version.

    Raises SchemaMismatch, Unavailable.
    """
    from rimlock import migrations

    create = settings.create_tables
    if create or (create is None and database.dialect == "sqlite"):
        await migrations.create_if_absent(database.address)
    mismatch = migrations.mismatch(await migrations.current(database.address))
    if mismatch is not None:
        raise mismatch


def _password_policy(settings: Settings) -> PasswordPolicy:
    return PasswordPolicy(
        minimum=settings.password_minimum,
        composition=frozenset(settings.password_composition),  # type: ignore[arg-type]
        context_words=tuple(settings.product),
    )


def _bell(settings: Settings) -> Bell | None:
    if settings.redis_url is None:
        return None
    from rimlock.core.bell_redis import RedisBell

    return RedisBell(settings.redis_url)


def _limits(settings: Settings, database: Database, root: RootSecret, clock: Clock) -> Limits:
    rules = LimitRules(
        rate=settings.login_rate,
        lock_after=settings.lockout_after,
        lock_seconds=int(settings.lockout_time.total_seconds()),
        in_all=settings.failures_in_all,
        visits=settings.registration_rate,
        kept_seconds=int(max(settings.known_device, settings.session_lifetime).total_seconds()),
    )
    return Limits(
        database, Naming(rules, root), clock, shared=_shared_counters(settings), on_down=settings.on_limits_down
    )


def _shared_counters(settings: Settings) -> Counters | None:
    if settings.limits_url is None:
        return None
    from rimlock.core.limits_redis import SharedCounters

    return SharedCounters(settings.limits_url)


def _describing(proxies: Sequence[Network], browser: Browser) -> Callable[[Any, bool, str], Device]:
    def device(request: Any, remembered: bool, transport: str) -> Device:  # noqa: FBT001 - a seam of features
        return Device(
            transport="cookie" if transport == "cookie" else "body",
            remembered=remembered,
            agent=request.headers.get("user-agent", ""),
            address=client_address(request.scope, proxies),
            notes=browser.notes(request.scope, cookie=transport == "cookie"),
        )

    return device
