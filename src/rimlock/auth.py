"""class Rimlock: puts the parts together and onto an application. It owns nothing else.

Threat: a part that is wired differently in a test, in the server and in a host.
Source: design sections 2 and 7.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from rimlock import assembly
from rimlock.core import audit, challenges, logbook, registering, retiring, revocations, rollout, sessions, usage
from rimlock.core.access import Requirement, Rule, RuleBook, share_of
from rimlock.core.clock import Clock, system_clock
from rimlock.core.database_sqlite import SQLiteDatabase
from rimlock.core.engines import open_database
from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.core.events import Event
from rimlock.core.limits_naming import place_of
from rimlock.core.observers import Background, Observers
from rimlock.core.retirements import Retirements
from rimlock.core.revocations import JournalWritten, Revocations
from rimlock.core.rulefile import RuleFile, read_rule_file
from rimlock.core.tokens import AccessTokens, JwtAccessTokens, VerifiedTokens
from rimlock.core.users import OwnUsers, Users
from rimlock.crypto.passwords.hashes import PasswordHasher, PasswordHashes
from rimlock.feature import Context, Feature, Profile
from rimlock.settings import Settings, from_environment
from rimlock.web.addresses import client_address
from rimlock.web.counting import Counting
from rimlock.web.credentials import Scope
from rimlock.web.door import Door
from rimlock.web.fields import NO_FIELDS
from rimlock.web.gate import Gate
from rimlock.web.judge import GateJudge
from rimlock.web.mounting import adopt, mounted, own_application, refuse_wildcard, secured
from rimlock.web.refusals import Refusals
from rimlock.web.token_endpoint import token_routes

if TYPE_CHECKING:
    from rimlock.core.database import Database, Transaction
    from rimlock.core.login import Policy
    from rimlock.core.messages import MessageKind
    from rimlock.core.principal import Principal
    from rimlock.feature import Probe

__all__ = ["Rimlock"]

E = TypeVar("E", bound=Event)
log = logging.getLogger("rimlock")
FLUSH_SECONDS = 1.0
LOOK_SECONDS = 0.5
TIDY_SECONDS = 3600
KEY_LEAD_SECONDS = 600
KEY_LOOK_SECONDS = 1.0


class Rimlock:
    """Accounts, tokens and access rules for one application.

    `settings`: see Settings. `rules`: in code, under those of `rimlock.toml`. `users`, `tokens`, `hasher`: a user
    table, token format or password hashing of the host's own. `policies` decide on every sign-in, inside its
    transaction. `features`: all that come with Rimlock unless given. `also`: more of them, or others in place of those
    with the same name. `profiles`: other systems' HTTP dialects, beside our own routes, or instead of them with
    `native=False`. Raises ConfigurationError.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rules: Iterable[Rule] = (),
        roles: Mapping[str, Iterable[str]] | None = None,
        policies: Sequence[Policy] = (),
        features: Sequence[Feature] | None = None,
        also: Sequence[Feature] = (),
        profiles: Sequence[Profile] = (),
        native: bool = True,
        users: Users | None = None,
        tokens: AccessTokens | None = None,
        hasher: PasswordHasher | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """Wire everything; open nothing yet."""
        self.settings = settings
        self.file = read_rule_file(settings.config) if settings.config else RuleFile()
        self._clock = clock
        self._background = Background()
        self._proxies = settings.proxies
        self._observers = Observers(self._background)
        self._root = assembly.root_secret(settings)
        self._salt = self._root.derive("rollout share")
        self._database = open_database(settings.database, self._observers.publish)
        self._observers.add(Event, logbook.tell)
        self._refusals = Refusals(self._observers.publish, clock, self._proxies)
        self._revocations = Revocations()
        self._permissions = assembly.permissions(self.file, roles or {})
        self._tokens = tokens or JwtAccessTokens(assembly.token_settings(settings), self._permissions.of)
        self._verified = VerifiedTokens()
        self._usage = usage.Usage()
        self._retirements = Retirements(self._share, self.file.retirements)
        self._signing = assembly.signing(settings, self._database, self._root, clock)
        self._follower = assembly.follower(settings, self._database, self._revocations)
        self._gate: Gate | None = None
        self._starting = Lock()
        self._keys_due = 0.0
        self._overdue: set[Callable[[], Awaitable[None]]] = set()
        self._reloading: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._started = False
        self._flushing: asyncio.TimerHandle | None = None
        self.profiles, self._native = tuple(profiles), native
        chosen = tuple(features) if features is not None else assembly.all_features(self.file)
        brought = [feature for profile in self.profiles for feature in profile.brings()]
        self.features: tuple[Feature, ...] = (*assembly.with_others(chosen, [*brought, *also]), *self.profiles)
        decides = assembly.policies(settings, policies)
        self.context = self._context(users or OwnUsers(), hasher or PasswordHashes(), decides)
        self._database.host = assembly.host_accounts(self.context)
        self._database.record = assembly.recorder(self.features, self.context)
        self.door, self.judge = self._doors(tuple(rules))
        self._listen_to_journal()

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **parts: Any) -> Rimlock:
        """Make one by the environment variables. Raises ConfigurationError."""
        return cls(from_environment(environment), **parts)

    @classmethod
    def of(cls, app: Any) -> Rimlock:
        """Return the Rimlock that is installed on an application. Raises ConfigurationError where there is none."""
        for one in _INSTALLED:
            if one._gate is not None and one._gate.stands_on(app):  # noqa: SLF001 - one of our own
                return one
        raise ConfigurationError("this application has no Rimlock on it; call auth.install(app) where it is made")

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
        routers = [token_routes(self.features, self.context), *(one.routes(self.context) for one in self.features)]
        own = own_application(router for router in routers if router is not None) if self._native else None
        beside = [profile.application(self.context) for profile in self.profiles]
        self._gate = mounted(app, self.judge, own, beside, self.settings)
        secured(app, self._gate, own, beside, self.settings, lambda: self.judge.rules)
        assembly.redact_logs(self.settings)
        self._follow_lifespan(app)
        _INSTALLED.add(self)

    def adopt(self, app: Any, check: Callable[..., Any], *permissions: str) -> None:
        """Let a check of the host's own pass for a principal the gate knows; everybody else meets it as before.

        `check` is a dependency function of the host, like the one that compares an old key. `permissions`: what
        the principal must be allowed to.
        """
        adopt(app, check, Requirement(permissions=frozenset(permissions)))

    def on(self, event: type[E], handler: Callable[[E], Awaitable[None] | None]) -> None:
        """Call `handler` after every committed event of this type. It can veto nothing; its failures are logged."""
        self._observers.add(event, handler)

    async def start(self) -> None:
        """Open the database, load keys and rules, and begin to follow the journal. Does it once.

        Raises SchemaMismatch, SealBroken, Unavailable.
        """
        # Hosts' tests run many loops, in threads: a lock of one loop would not do.
        while not self._starting.acquire(blocking=False):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
        try:
            if not self._started:
                await self._open()
        finally:
            self._starting.release()

    async def _open(self) -> None:
        await assembly.check_schema(self.settings, self._database)
        await self._signing.open()
        await self._follower.start()
        self._overdue.clear()
        await self.reload_keys()
        await self.reload_rules()
        await self.reload_retirements()
        for feature in self.features:
            await feature.start(self.context)
        self._watch()
        if self._gate is not None:
            await self._gate.self_test()
        self._started = self.judge.prepared = True
        while self._overdue:
            await self._overdue.pop()()

    def _watch(self) -> None:
        """Let features watch how requests are judged; what they watch has to be counted, if only for them."""
        watchers = [one for feature in self.features if (one := feature.watcher(self.context)) is not None]
        self._counting.watchers = tuple(watchers)
        self.judge.counting = self._counting if watchers or self.settings.usage else None

    async def stop(self) -> None:
        """Write what waits, stop following, give the connections back. It can be started again."""
        with suppress(Unavailable):
            await self.flush()
        self._refusals.settle(everything=True)
        for feature in self.features:
            await feature.stop(self.context)
        await self._background.stop()
        await self._flush_last()
        await self._follower.stop()
        await self.context.limits.close()
        await self._database.close()
        self._started = self.judge.prepared = False

    async def _flush_last(self) -> None:
        """Write what was counted by work that was stopped: nobody comes after this."""
        with suppress(Unavailable):
            await self._write_usage()
        if len(self._usage):
            log.error("%d counts of usage could not be written before the stop", len(self._usage))

    async def reload_keys(self) -> None:
        """Read the signing keys again; when they changed, verify every token anew."""
        if isinstance(self._tokens, JwtAccessTokens) and await self._signing.reload():
            self._tokens.use(self._signing.ring)
            self._verified.clear()

    async def _look_for_keys(self) -> None:
        """Read the keys for a token that names an unknown one: once a second at most, or strangers could order work."""
        if monotonic() >= self._keys_due:
            self._keys_due = monotonic() + KEY_LOOK_SECONDS
            await self.reload_keys()

    async def reload_rules(self) -> None:
        """Read the run-time rules again."""
        running = await self._database.read(rollout.running_rules)
        self.judge.rules = self.judge.rules.with_running(running)

    async def reload_retirements(self) -> None:
        """Read again which credentials are on their way out."""
        configured, now = self._retirements.configured, int(self._clock())
        self._retirements.use(await self._database.read(lambda tx: retiring.in_force(tx, configured, living_at=now)))

    async def user_changed(self, user_id: object) -> None:
        """Take over at once what the application itself changed about a user in a table of its own, or deleted.

        Otherwise it is noticed at the next sign-in. Call it after the commit. Raises Unavailable.
        """
        known_as = assembly.text_of(self._database.host, user_id)
        users, now = self.context.users, self.context.now()
        await self._database.write(lambda tx: registering.follow_user(users, tx, known_as, now=now))

    async def rotate_signing_key(self, *, lead: int = KEY_LEAD_SECONDS) -> str:
        """Make the next signing key; it signs after `lead` seconds, and tokens of the old ones stay good meanwhile."""
        return await self._signing.rotate(lead=lead)

    async def flush(self) -> None:
        """Write what waits: usage, and what features keep back. What cannot be written is kept.

        Raises Unavailable.
        """
        await self._write_usage()
        for feature in self.features:
            await feature.flush(self.context)

    async def _write_usage(self) -> None:
        """Write the batches that an earlier attempt left, then what was counted since."""
        if not self.settings.usage:
            return self._usage.discard()
        await self._write_batches()
        self._usage.cut()
        return await self._write_batches()

    async def _write_batches(self) -> None:
        now = int(self._clock())
        for batch in self._usage.batches():
            await self._database.write(partial(usage.write_batch, batch=batch, now=now))
            self._usage.settle(batch)

    def _context(self, users: Users, hasher: PasswordHasher, policies: tuple[Policy, ...]) -> Context:
        return assembly.context(
            self.settings,
            clock=self._clock,
            root=self._root,
            database=self._database,
            users=users,
            hasher=hasher,
            policies=policies,
            tokens=self._tokens,
            revocations=self._revocations,
            follower=self._follower,
            usage=self._usage,
            retirements=self._retirements,
            permissions=self._permissions.of,
            ring=lambda: self._signing.ring,
            rules=lambda: self.judge.rules,
            routes=lambda: None if self._gate is None else self._gate.table,
            probes=self._probes,
            kinds=self._kinds,
            fields=next((found for one in self.features if (found := one.fields()) is not None), NO_FIELDS),
            flush=self.flush,
            flush_later=self._flush_later,
            on=self.on,
        )

    def _probes(self) -> dict[str, Probe]:
        return {name: probe for feature in self.features for name, probe in feature.probes(self.context).items()}

    def _kinds(self) -> dict[str, MessageKind]:
        return {kind.name: kind for feature in self.features for kind in feature.messages()}

    def _doors(self, rules: tuple[Rule, ...]) -> tuple[Door, GateJudge]:
        credentials = assembly.credentials(
            self.context, self.features, self._tokens, self._verified, reload_keys=self._look_for_keys
        )
        door = Door(credentials, self._database, self.context.users, self._revocations, self._refusals, self._clock)
        self._counting = Counting(self._usage, credentials, clock=self._clock, soon=self._flush_later)
        judge = GateJudge(
            RuleBook(code=rules, file=self.file.rules, default=self.file.default or self.settings.default_stage),
            credentials,
            door=door,
            prepare=self.start,
            look=self._follower.current,
            counting=self._counting if self.settings.usage else None,
            caller=self._caller,
            later=self._background.start,
            refused=self._refusals.note,
            salt=self._salt,
            clock=self._clock,
        )
        return door, judge

    def _listen_to_journal(self) -> None:
        self._revocations.on_change.setdefault("rollout", []).append(lambda _: self._soon(self.reload_rules))
        retiring_by_name = any(entry.target.startswith("name:") for entry in self.file.retirements)
        for kind in ("retirement", "key") if retiring_by_name else ("retirement",):
            self._revocations.on_change.setdefault(kind, []).append(lambda _: self._soon(self.reload_retirements))
        self._revocations.on_change.setdefault("signing_key", []).append(lambda _: self._soon(self.reload_keys))
        self.on(JournalWritten, self._follower.note)

    def _soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` without waiting for it; on SQLite, where a read never waits, it is done before this returns."""
        if not self._started:
            self._overdue.add(work)
        elif isinstance(self._database, SQLiteDatabase):
            with suppress(StopIteration):
                next(work().__await__())
        else:
            self._background.start(self._until_done(work))

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        """One after the other, so that an older answer never replaces a newer one, and again until it succeeds."""
        async with self._reloading.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            while True:
                try:
                    return await work()
                except Exception as error:  # noqa: BLE001 - a change that is not read would be lost
                    log.error("a change could not be read yet: %s", type(error).__name__)  # noqa: TRY400 - values
                    await asyncio.sleep(LOOK_SECONDS)

    def _caller(self, scope: Scope) -> str:
        """Name a caller without a credential, for percentages: where from, and with what program."""
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
        return f"{place_of(client_address(scope, self._proxies))} {agent[:500].decode('latin-1')}"

    def _share(self, principal: Principal, scope: Scope | None) -> int:
        """Where a caller stands in a brownout for some: a key that many hold comes from many places."""
        place = "" if scope is None else self._caller(scope)
        who = principal.credential_id if principal.kind == "key" else principal.subject
        return share_of(f"{who} {place}", self._salt)

    def _flush_later(self) -> None:
        loop = asyncio.get_running_loop()
        # A timer of a loop that has ended never rings: hosts' tests run one loop for each request.
        if self._flushing is None or self._flushing.when() < loop.time() - FLUSH_SECONDS:
            self._flushing = loop.call_later(FLUSH_SECONDS, self._flush_soon)

    def _flush_soon(self) -> None:
        self._flushing = None
        self._background.start(self._flush_or_again())

    async def _flush_or_again(self) -> None:
        try:
            await self.flush()
        except Unavailable:
            self._flush_later()  # also when no request comes any more

    def _follow_lifespan(self, app: Any) -> None:
        theirs = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(host: Any) -> AsyncIterator[Any]:
            refuse_wildcard(app)  # again: middleware can be added after install
            await self.start()
            upkeep = asyncio.create_task(self._keep_up())
            try:
                async with theirs(host) as state:
                    await assembly.check_users(self.context)  # now that the host made its tables, where it does so here
                    yield state
            finally:
                upkeep.cancel()
                await asyncio.gather(upkeep, return_exceptions=True)
                await self.stop()

        app.router.lifespan_context = lifespan

    async def _keep_up(self) -> None:
        """Hear of changes while no request comes; now and then tidy up."""
        while True:
            for _ in range(int(TIDY_SECONDS / LOOK_SECONDS)):
                self._follower.current()
                self._refusals.settle()
                await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._tidy()
            except Exception as error:  # noqa: BLE001 - the next round has to come
                log.error("tidying up failed: %s", type(error).__name__)  # noqa: TRY400 - a trace may quote values

    async def _tidy(self) -> None:
        """Forget what is over, and rotate the signing key when it is due."""
        now = int(self._clock())
        self._revocations.forget(now)
        kept = now - int(self.settings.usage_kept.total_seconds())
        await self._database.write(lambda tx: _forget(tx, now, kept // usage.DAY))
        await self._database.write(self.context.limits.forget_expired)
        await self._forget_audit(now)
        if self._signing.due():
            await self.rotate_signing_key()

    async def _forget_audit(self, now: int) -> None:
        """Delete the rows of the audit that reached their time, some at once, so that nobody waits long."""
        before = now - int(self.settings.audit_kept.total_seconds())
        while await self._database.write(lambda tx: audit.forget_before(tx, before, now=now)):
            pass


def _forget(tx: Transaction, now: int, oldest_day: int) -> None:
    """Delete what no living token and no open answer can be concerned by."""
    revocations.forget_expired(tx, now)
    sessions.forget_ended(tx, before=now - revocations.KEPT_SECONDS)
    challenges.forget_expired(tx, before=now - revocations.KEPT_SECONDS)
    usage.forget_before(tx, oldest_day)
    usage.forget_batches(tx, before=now - 7 * usage.DAY)


_INSTALLED: WeakSet[Rimlock] = WeakSet()
