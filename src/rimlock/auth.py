"""class Rimlock: puts the parts together and onto an application. It owns nothing else.

Threat: a part that is wired differently in a test, in the server and in a host.
Source: design sections 2 and 7.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

from rimlock.core import keyring, observations, revocations, rollout
from rimlock.core.access import Permissions, Requirement, Rule, RuleBook
from rimlock.core.clock import Clock, system_clock
from rimlock.core.database import Database
from rimlock.core.database_sqlite import SQLiteDatabase
from rimlock.core.engines import open_database
from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.core.events import Event
from rimlock.core.follower import Bell, follow
from rimlock.core.hashing import HashingPool
from rimlock.core.keyring import KeyRing
from rimlock.core.revocations import JournalWritten, Revocations
from rimlock.core.rulefile import RuleFile, read_rule_file
from rimlock.core.sessions import Device
from rimlock.core.tokens import AccessTokens, JwtAccessTokens, TokenSettings, VerifiedTokens
from rimlock.core.users import OwnUsers, Users
from rimlock.crypto.passwords.hashes import PasswordHasher, PasswordHashes
from rimlock.crypto.passwords.policy import PasswordPolicy
from rimlock.crypto.secret import RootSecret
from rimlock.feature import Context, Feature
from rimlock.settings import Settings, from_environment
from rimlock.web.browser import Browser
from rimlock.web.credentials import BearerReader, Credentials
from rimlock.web.door import Door
from rimlock.web.entrance import Entrance
from rimlock.web.gate import Gate
from rimlock.web.judge import GateJudge
from rimlock.web.mounting import adopt, mounted, own_application, secured
from rimlock.web.token_endpoint import token_routes

if TYPE_CHECKING:
    from rimlock.core.errors import AuthError
    from rimlock.core.login import Policy
    from rimlock.core.principal import Principal
    from rimlock.web.routing import Target

__all__ = ["Rimlock"]

E = TypeVar("E", bound=Event)
Handler = Callable[[Any], Awaitable[None] | None]
log = logging.getLogger("rimlock")
FLUSH_SECONDS = 1.0
KEY_LEAD_SECONDS = 600


class Rimlock:
    """Accounts, tokens and access rules for one application.

    `settings`: see Settings. `rules`: in code, under those of `rimlock.toml`. `users`, `tokens`, `hasher`: a user
    table, token format or password hashing of the host's own. `policies` decide on every sign-in, inside its
    transaction. `features`: all that come with Rimlock unless given. Raises ConfigurationError.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rules: Iterable[Rule] = (),
        roles: Mapping[str, Iterable[str]] | None = None,
        policies: Sequence[Policy] = (),
        features: Sequence[Feature] | None = None,
        users: Users | None = None,
        tokens: AccessTokens | None = None,
        hasher: PasswordHasher | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """Wire everything; open nothing yet."""
        self.settings = settings
        self.file = read_rule_file(settings.config) if settings.config else RuleFile()
        self._clock = clock
        self._handlers: defaultdict[type[Event], list[Handler]] = defaultdict(list)
        self._root = RootSecret(settings.secrets)
        self._database = open_database(settings.database, self._publish)
        self._revocations = Revocations()
        self._permissions = _permissions(self.file, roles or {})
        self._tokens = tokens or JwtAccessTokens(_token_settings(settings), self._permissions.of)
        self._verified = VerifiedTokens()
        self._observations = observations.Observations()
        self._ring = KeyRing()
        self._gate: Gate | None = None
        self._running = asyncio.Lock()
        self._started = False
        self._flushing: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._follower = follow(
            self._database,
            self._revocations,
            interval=settings.poll_interval.total_seconds(),
            max_staleness=settings.max_staleness.total_seconds(),
            listen=settings.listen,
            bell=_bell(settings),
        )
        self.context = self._context(users or OwnUsers(), hasher or PasswordHashes(), tuple(policies))
        self.features = tuple(features) if features is not None else _all_features(self.file)
        credentials = self._credentials()
        self.door = Door(credentials, self._database, self.context.users, self._revocations, clock)
        self.judge = GateJudge(
            RuleBook(code=tuple(rules), file=self.file.rules, default=self.file.default or settings.default_stage),
            credentials,
            door=self.door,
            prepare=self.start,
            look=self._follower.current,
            observe=self._observe,
            clock=clock,
        )
        self._listen_to_journal()

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **parts: Any) -> Rimlock:
        """Make one by the environment variables. Raises ConfigurationError."""
        return cls(from_environment(environment), **parts)

    @property
    def database(self) -> Database:
        """Our database."""
        return self._database

    @property
    def gate(self) -> Gate:
        """The gate, once installed. Raises ConfigurationError before."""
        if self._gate is None:
            raise ConfigurationError("call auth.install(app) first")
        return self._gate

    def install(self, app: Any) -> None:
        """Fit Rimlock onto a FastAPI application: routes under the prefix, the gate, and nothing else.

        Every existing route answers as before until a rule says otherwise. Raises ConfigurationError.
        """
        if self._gate is not None:
            raise ConfigurationError("this Rimlock is installed already; make another for another application")
        routers = (feature.routes(self.context) for feature in self.features)
        own = own_application(router for router in (token_routes(self.features, self.context), *routers) if router)
        self._gate = mounted(app, self.judge, own, self.settings)
        secured(app, self._gate, own, self.settings, lambda: self.judge.rules)
        self._follow_lifespan(app)

    def remove(self) -> None:
        """Take the gate off again; the application is as it was."""
        self.gate.remove()
        self._gate = None

    def adopt(self, app: Any, check: Callable[..., Any], *permissions: str) -> None:
        """Let a check of the host's own pass for a principal the gate knows; everybody else meets it as before.

        `check` is a dependency function of the host, like the one that compares an old key. `permissions`: what
        the principal must be allowed to.
        """
        adopt(app, check, Requirement(permissions=frozenset(permissions)))

    def on(self, event: type[E], handler: Callable[[E], Awaitable[None] | None]) -> None:
        """Call `handler` after every committed event of this type. It can veto nothing; its failures are logged."""
        self._handlers[event].append(handler)

    async def start(self) -> None:
        """Open the database, load keys and rules, and begin to follow the journal. Does it once.

        Raises SchemaMismatch, SealBroken, Unavailable.
        """
        async with self._running:
            if self._started:
                return
            await self._check_schema()
            await self._ensure_signing_key()
            await self._follower.start()
            await self.reload_keys()
            await self.reload_rules()
            for feature in self.features:
                await feature.start(self.context)
            if self._gate is not None:
                await self._gate.self_test()
            self._started = True
            self.judge.prepared = True

    async def stop(self) -> None:
        """Write what waits, stop following, give the connections back. It can be started again."""
        with suppress(Unavailable):
            await self.flush()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._follower.stop()
        await self._database.close()
        self._started = self.judge.prepared = False

    async def reload_keys(self) -> None:
        """Read the signing keys again."""
        if not isinstance(self._tokens, JwtAccessTokens):
            return
        self._ring = (
            await self._database.read(lambda tx: keyring.load(tx, self._root)) if not self._shared else self._ring
        )
        self._tokens.use(self._ring)
        self._verified.clear()

    async def reload_rules(self) -> None:
        """Read the run-time rules again."""
        running = await self._database.read(rollout.running_rules)
        self.judge.rules = self.judge.rules.with_running(running)

    async def flush(self) -> None:
        """Write the observations that wait. What cannot be written is kept."""
        drained = self._observations.drain()
        if not drained:
            return
        try:
            await self._database.write(lambda tx: observations.write(tx, drained))
        except Unavailable:
            self._observations.put_back(drained)
            raise

    @property
    def _shared(self) -> bool:
        """Whether the signing key is a secret shared with others, and kept nowhere."""
        return self.settings.algorithm == "HS256"

    def _context(self, users: Users, hasher: PasswordHasher, policies: tuple[Policy, ...]) -> Context:
        settings = self.settings
        browser = Browser.of(settings.origins, settings.issuer, insecure=settings.insecure_cookies)
        return Context(
            settings=settings,
            clock=self._clock,
            root=self._root,
            database=self._database,
            users=users,
            passwords=HashingPool(hasher, workers=settings.hash_workers, queue_limit=settings.hash_queue),
            password_policy=_password_policy(settings),
            policies=policies,
            lifetimes=settings.lifetimes,
            entrance=Entrance(self._tokens, self._root, browser, self._clock),
            browser=browser,
            revocations=self._revocations,
            follower=self._follower,
            observations=self._observations,
            ring=lambda: self._ring,
            rules=lambda: self.judge.rules,
            routes=lambda: None if self._gate is None else self._gate.table,
            flush=self.flush,
            device=_device,
        )

    def _credentials(self) -> Credentials:
        bearer = BearerReader(self._tokens, self._verified, self._revocations, self.settings.issuer, self.reload_keys)
        others = [reader for feature in self.features for reader in feature.readers(self.context)]
        return Credentials([bearer, *others], self._follower, self.settings.on_stale, self._clock)

    def _listen_to_journal(self) -> None:
        self._revocations.on_change.setdefault("rollout", []).append(lambda _: self._soon(self.reload_rules))
        self._revocations.on_change.setdefault("signing_key", []).append(lambda _: self._soon(self.reload_keys))
        self.on(JournalWritten, self._follower.note)

    def _soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` without waiting for it; on SQLite it is done before this returns."""
        if not self._started:
            return
        if isinstance(self._database, SQLiteDatabase):
            _run_through(work())
        else:
            self._spawn(work())

    def _spawn(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background work failed: %s", type(task.exception()).__name__)

    def _publish(self, event: Event) -> None:
        for kind in type(event).__mro__:
            for handler in self._handlers.get(kind, ()):
                self._tell(handler, event)

    def _tell(self, handler: Handler, event: Event) -> None:
        try:
            waiting = handler(event)
            if isawaitable(waiting):
                self._spawn(waiting)
        except Exception as error:  # noqa: BLE001 - an observer can break nothing
            log.error("an observer of %s failed: %s", type(event).__name__, type(error).__name__)

    def _observe(self, target: Target | None, principal: Principal | None, error: AuthError) -> None:
        method, path = (target.method, target.path) if target else ("*", "unmatched")
        self._observations.note(method, path, principal, error, int(self._clock()))
        if (
            self._flushing is None
            or self._flushing.cancelled()
            or self._flushing.when() < self._loop_time() - FLUSH_SECONDS
        ):
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_soon)

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    def _flush_soon(self) -> None:
        self._flushing = None
        self._spawn(self.flush())

    def _follow_lifespan(self, app: Any) -> None:
        theirs = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(scope_app: Any) -> AsyncIterator[Any]:
            await self.start()
            upkeep = asyncio.create_task(self._keep_up())
            try:
                async with theirs(scope_app) as state:
                    yield state
            finally:
                upkeep.cancel()
                await asyncio.gather(upkeep, return_exceptions=True)
                await self.stop()

        app.router.lifespan_context = lifespan

    async def _keep_up(self) -> None:
        """Hear of changes while no request comes, rotate keys by age, forget what is over."""
        while True:
            for _ in range(7200):
                self._follower.current()
                await asyncio.sleep(0.5)
            with suppress(Unavailable):
                await self._tidy()

    async def _tidy(self) -> None:
        now = int(self._clock())
        self._revocations.forget(now)
        await self._database.write(lambda tx: revocations.forget_expired(tx, now))
        await self._rotate_by_age(now)

    async def _rotate_by_age(self, now: int) -> None:
        age = self.settings.signing_key_age.total_seconds()
        if self._shared or not self._ring.keys or max(stored.signs_from for stored in self._ring.keys) > now - age:
            return
        await self.rotate_signing_key()

    async def rotate_signing_key(self, *, lead: int = KEY_LEAD_SECONDS) -> str:
        """Make the next signing key; it signs after `lead` seconds, and tokens of the old ones stay good meanwhile."""
        if self._shared:
            raise ConfigurationError("the HS256 key is JWT_SECRET; change it there")
        now, algorithm = int(self._clock()), self.settings.algorithm
        overlap = int(self.settings.access_lifetime.total_seconds()) + 60
        return await self._database.write(
            lambda tx: keyring.rotate(tx, self._root, algorithm, now=now, lead=lead, overlap=overlap)
        )

    async def _check_schema(self) -> None:
        from rimlock import migrations

        create = self.settings.create_tables
        if create or (create is None and self._database.dialect == "sqlite"):
            await migrations.create_if_absent(self.settings.database)
        mismatch = migrations.mismatch(await migrations.current(self.settings.database))
        if mismatch is not None:
            raise mismatch

    async def _ensure_signing_key(self) -> None:
        if self._shared:
            self._ring = keyring.shared_ring(self.settings.jwt_secret or "")
            return
        now, root, algorithm = int(self._clock()), self._root, self.settings.algorithm
        await self._database.write(lambda tx: keyring.ensure(tx, root, algorithm, now=now))


def _run_through(work: Awaitable[None]) -> None:
    """Run a coroutine that never waits: a read of SQLite."""
    steps = work.__await__()
    with suppress(StopIteration):
        next(steps)


def _permissions(file: RuleFile, roles: Mapping[str, Iterable[str]]) -> Permissions:
    return Permissions({**{role: frozenset(held) for role, held in roles.items()}, **file.permissions.by_role})


def _token_settings(settings: Settings) -> TokenSettings:
    return TokenSettings(
        issuer=settings.issuer,
        audience=settings.audience or settings.issuer,
        lifetime=int(settings.access_lifetime.total_seconds()),
    )


def _password_policy(settings: Settings) -> PasswordPolicy:
    return PasswordPolicy(
        minimum=settings.password_minimum,
        composition=frozenset(settings.password_composition),
        context_words=tuple(settings.product),
    )


def _bell(settings: Settings) -> Bell | None:
    if settings.redis_url is None:
        return None
    from rimlock.core.bell_redis import RedisBell

    return RedisBell(settings.redis_url)


def _all_features(file: RuleFile) -> tuple[Feature, ...]:
    from rimlock.features import standard

    return standard(file)


def _device(request: Any, remembered: bool, transport: str) -> Device:  # noqa: FBT001 - a seam of features
    client = request.client
    return Device(
        transport="cookie" if transport == "cookie" else "body",
        remembered=remembered,
        agent=request.headers.get("user-agent", ""),
        address=client.host if client else "",
    )
