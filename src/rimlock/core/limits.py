"""Attempts are counted before a secret is tested, and what the count says is the same for accounts that do not exist.

Threat: guessing a password from one address or from thousands; locking somebody out of their own account; a refusal
    that tells whether an account exists, or which limit was reached.
Source: OWASP ASVS 5.0 V2.4.1, V6.3.1, V6.3.4, V6.3.8, V6.6.3; NIST SP 800-63B-4 section 3.2.2.

An attempt takes a place in each of its counters, is carried out, and gives the places back: a success leaves nothing,
a failure stays. Who finds only places taken by others still under way waits for a moment: thirty people who come in at
nine o'clock behind one address get in, five guesses a minute do not become six.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from rimlock.core.errors import AuthError, Unavailable
from rimlock.core.events import Event, Told
from rimlock.core.limits_counting import CountersDown, Full, Outcome, SqlCounters, forget_expired, forgive, settle

if TYPE_CHECKING:
    from rimlock.core.clock import Clock
    from rimlock.core.database import Database, Transaction
    from rimlock.core.limits_counting import Bucket, Counters
    from rimlock.core.limits_naming import Naming

__all__ = [
    "AccountGuarded",
    "AccountLockedOut",
    "AccountUnlocked",
    "Attempt",
    "Limits",
    "LoginThrottled",
    "OnDown",
    "TooManyAttempts",
]

OnDown = Literal["database", "refuse", "insecure_allow"]
T = TypeVar("T")
log = logging.getLogger("rimlock.limits")

PATIENCE = 5.0
"""Seconds an attempt waits at most for a place that others hold."""

LOOK_FIRST, LOOK_AT_LEAST = 0.02, 0.2
"""Seconds between two looks at places that other processes hold: doubled each time, up to the second."""

MOST_WAITING, LONGEST_LINE = 1_024, 64
"""How many wait in a process, and how many of them for one place: the next one is told to come back."""

MOST_TOLD = 1_000
TIDY_EVERY = 500


class TooManyAttempts(AuthError):
    """Too many attempts failed. Which limit was reached, and whether there is such an account, is not told."""

    code, status, title = "too_many_attempts", 429, "Too many attempts. Try again later."


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginThrottled(Event):
    """An attempt was turned away untested. Told once for each limit that is reached. `limit`: which one it was."""

    told = Told(outcome="refused")
    action: str
    limit: str
    user_id: str | None
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLockedOut(Event):
    """An address (or a known device, or a session) failed so often in a row that it is locked out of the account.

    `user_id` is None where no account has the login.
    """

    told = Told(outcome="refused")
    limit: str
    user_id: str | None
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGuarded(Event):
    """So many sign-ins failed in a row that the account takes known devices only, until one succeeds."""

    told = Told(outcome="refused")
    user_id: str | None
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUnlocked(Event):
    """Every count of failures of an account was emptied: by an administrator, or by who chose another password."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried: the name of the action, whose account (None for one that does not exist), from where."""

    action: str
    address: str
    user_id: str | None = None


class Limits:
    """The counters of one installation.

    `shared`: counters in Valkey or Redis; `on_down` says what happens when those do not answer.
    """

    def __init__(
        self,
        database: Database,
        naming: Naming,
        clock: Clock,
        *,
        shared: Counters | None = None,
        on_down: OnDown = "database",
    ) -> None:
        """Count nothing yet."""
        self._database = database
        self._naming = naming
        self._clock = clock
        self._shared = shared
        self._on_down = on_down
        self._own = SqlCounters(database)
        self._line = _Line()
        self._told: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._failures = 0

    async def sign_in(self, address: str, user_id: str | None, login: str, device_id: str | None = None) -> Attempt:
        """Admit an attempt to sign in. `device_id`: of a device this account knows.

        A device that failed too often in a row is not known any more. Raises TooManyAttempts, Unavailable.
        """
        trial = Trial(action="sign-in", address=address, user_id=user_id)
        if user_id is not None and device_id is not None:
            buckets = self._naming.device(user_id, device_id)
            taken = await self._take(buckets)
            if isinstance(taken, Attempt):
                return self._began(taken, trial)
            if taken.bucket.kind != "device_total":
                return await self._admit(buckets, trial)
        return await self._admit(self._naming.stranger(address, user_id, login), trial)

    async def recheck(self, user_id: str, session_id: str, address: str) -> Attempt:
        """Admit an attempt to prove the password again. Raises TooManyAttempts, Unavailable."""
        trial = Trial(action="recheck", address=address, user_id=user_id)
        return await self._admit(self._naming.session(user_id, session_id), trial)

    async def secret(self, action: str, address: str, *failures: type[AuthError]) -> Attempt:
        """Admit an attempt to use a link or a code; `failures` tell that it was wrong, inside its `async with`.

        Raises TooManyAttempts, Unavailable.
        """
        attempt = await self._admit(self._naming.secret(action, address), Trial(action=action, address=address))
        attempt.failures = failures
        return attempt

    async def visit(self, action: str, address: str, *failures: type[AuthError]) -> Attempt:
        """Admit something that costs us, and count it even when it succeeds. Raises TooManyAttempts, Unavailable."""
        attempt = await self._admit(self._naming.visit(action, address), Trial(action=action, address=address))
        attempt.failures = failures
        return attempt

    async def mailbox(self, action: str, email_key: str) -> Attempt | None:
        """Admit a mail to an address; None when it got enough of them for now, which nobody is told.

        The address is counted as it was typed, whether or not anybody has it. Raises Unavailable.
        """
        trial = Trial(action=action, address="")
        taken = await self._take(self._naming.mailbox(action, email_key))
        return self._began(taken, trial) if isinstance(taken, Attempt) else None

    def forgive(self, tx: Transaction, user_id: str) -> None:
        """Empty every count of failures of an account in the database; `forgive_shared` has to follow it."""
        forgive(tx, self._naming.accounts(user_id))
        tx.emit(AccountUnlocked(at=int(self._clock()), user_id=user_id))

    async def forgive_shared(self, user_id: str) -> None:
        """Empty those in Valkey or Redis, where there is one. Raises Unavailable."""
        if self._shared is not None:
            try:
                await self._shared.forgive(self._naming.accounts(user_id))
            except CountersDown:
                raise Unavailable from None

    def forget_expired(self, tx: Transaction) -> None:
        """Delete counters in the database that say nothing any more."""
        forget_expired(tx, self.now())

    async def close(self) -> None:
        """Give connections back."""
        if self._shared is not None:
            await self._shared.close()

    async def _admit(self, buckets: Sequence[Bucket], trial: Trial) -> Attempt:
        pause, left = LOOK_FIRST, PATIENCE
        while True:
            taken = await self._take(buckets)
            if isinstance(taken, Attempt):
                return self._began(taken, trial)
            if not taken.waiting or left <= 0 or not self._line.has_room(buckets):
                self._line.call(buckets)
                await self._tell(taken, trial)
                raise TooManyAttempts(retry_after=taken.retry_after)
            left -= await self._line.stand(buckets, pause)
            pause = min(2 * pause, LOOK_AT_LEAST)

    async def _take(self, buckets: Sequence[Bucket]) -> Attempt | Full:
        now = int(self._clock())
        for counters in self._counters():
            with suppress(CountersDown):
                full = await counters.take(buckets, now)
                return full or Attempt(self, counters, buckets, now)
        if self._on_down == "refuse":
            raise Unavailable
        return Attempt(self, None, buckets, now)

    def _counters(self) -> tuple[Counters, ...]:
        """Where to count, in this order, until one of them answers."""
        if self._shared is None:
            return (self._own,)
        return (self._shared, self._own) if self._on_down == "database" else (self._shared,)

    @staticmethod
    def _began(attempt: Attempt, trial: Trial) -> Attempt:
        attempt.trial = trial
        return attempt

    async def _tell(self, full: Full, trial: Trial) -> None:
        """Tell of a limit once, and not of each request that meets it: those cost an attacker nothing."""
        which = full.bucket.key, full.resets_at
        if full.waiting or which in self._told:
            return
        self._told[which] = None
        if len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        told = LoginThrottled(
            at=int(self._clock()),
            action=trial.action,
            limit=full.bucket.kind,
            user_id=trial.user_id,
            address=trial.address,
        )
        await self._database.write(lambda tx: tx.emit(told))

    def now(self) -> int:
        """Whole seconds since the epoch."""
        return int(self._clock())

    async def after(self, attempt: Attempt, outcome: Outcome) -> None:
        """Let the next one in, and now and then forget what is over. For attempts that ended."""
        self._line.call(attempt.buckets)
        self._failures += outcome == "failed"
        if outcome == "failed" and self._failures % TIDY_EVERY == 0:
            now = self.now()
            await self._database.write(lambda tx: forget_expired(tx, now))

    async def carry_out(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction. For attempts."""
        return await self._database.write(work)

    def in_transaction(self, counters: Counters | None) -> bool:
        """Say whether these counters change together with everything else."""
        return counters is self._own


class Attempt:
    """A place in every bucket, until `conclude` or `withdraw` gives it back.

    An attempt that ends in neither (its process died) counts as failed for half a minute.
    """

    __slots__ = ("_counters", "_limits", "_over", "_since", "buckets", "failures", "trial")

    def __init__(self, limits: Limits, counters: Counters | None, buckets: Sequence[Bucket], since: int) -> None:
        """Made by Limits. Without `counters` nothing is counted."""
        self.buckets = buckets
        self.trial = Trial(action="", address="")
        self.failures: tuple[type[AuthError], ...] = ()
        self._limits = limits
        self._counters = counters
        self._since = since
        self._over = False

    async def conclude(self, work: Callable[[Transaction], T], *, failed: Callable[[T], bool]) -> T:
        """Run `work` in a transaction and count in it how it ended. Raises what `work` raises, Unavailable."""
        self._over = True
        outcomes: list[Outcome] = []

        def counted(tx: Transaction) -> T:
            result = work(tx)
            outcomes.append("failed" if failed(result) else "passed")
            if self._limits.in_transaction(self._counters):
                reached = settle(tx, self.buckets, outcomes[-1], since=self._since, now=self._limits.now())
                self._emit(tx, reached)
            return result

        try:
            result = await self._limits.carry_out(counted)
        except AuthError:
            await self._settle_apart("void")
            raise
        if not self._limits.in_transaction(self._counters):
            await self._settle_apart(outcomes[-1])
        await self._limits.after(self, outcomes[-1])
        return result

    async def end(self, *, failed: bool) -> None:
        """Count how it ended. Raises Unavailable."""
        await self.conclude(lambda _: failed, failed=bool)

    async def withdraw(self) -> None:
        """Give the places back as if nobody had come: nothing was tested."""
        if not self._over:
            self._over = True
            await self._settle_apart("void")
            await self._limits.after(self, "void")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Count what went wrong as it was agreed, what went well, and nothing that ended before a secret was tested.

        What is no refusal of ours (a cancelled request, a bug) is left to run out.
        """
        if self._over or (error is not None and not isinstance(error, AuthError)):
            return
        if error is None or isinstance(error, self.failures):
            await self.end(failed=error is not None)
        else:
            await self.withdraw()

    async def _settle_apart(self, outcome: Outcome) -> None:
        """Count in a step of its own. What cannot be counted now runs out by itself."""
        if self._counters is None:
            return
        try:
            reached = await self._counters.settle(self.buckets, outcome, since=self._since, now=self._limits.now())
        except (CountersDown, Unavailable) as error:
            log.warning("an attempt could not be counted: %s", type(error).__name__)
            return
        if reached:
            await self._limits.carry_out(lambda tx: self._emit(tx, reached))

    def _emit(self, tx: Transaction, reached: Sequence[Bucket]) -> None:
        who, where, now = self.trial.user_id, self.trial.address, self._limits.now()
        for bucket in reached:
            if bucket.kind == "total":
                tx.emit(AccountGuarded(at=now, user_id=who, address=where))
            elif bucket.kind in {"pair", "device", "session"}:
                tx.emit(AccountLockedOut(at=now, limit=bucket.kind, user_id=who, address=where))


class _Line:
    """Those who wait for a place, in the order in which they came. Others' processes are found out by looking."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: dict[tuple[asyncio.AbstractEventLoop, str], deque[asyncio.Future[None]]] = {}
        self._many = 0

    def has_room(self, buckets: Sequence[Bucket]) -> bool:
        """Say whether one more may wait here."""
        loop = asyncio.get_running_loop()
        longest = max(len(self._waiting.get((loop, bucket.key), ())) for bucket in buckets)
        return self._many < MOST_WAITING and longest < LONGEST_LINE

    async def stand(self, buckets: Sequence[Bucket], seconds: float) -> float:
        """Wait until it is somebody's turn, at most so long; return how long it was."""
        loop = asyncio.get_running_loop()
        turn, began, places = loop.create_future(), loop.time(), [(loop, bucket.key) for bucket in buckets]
        for place in places:
            self._waiting.setdefault(place, deque()).append(turn)
        self._many += 1
        try:
            await asyncio.wait((turn,), timeout=seconds)
        finally:
            self._many -= 1
            for place in places:
                self._leave(place, turn)
        return loop.time() - began

    def call(self, buckets: Sequence[Bucket]) -> None:
        """Wake the first who waits for one of the places."""
        loop = asyncio.get_running_loop()
        for bucket in buckets:
            line = self._waiting.get((loop, bucket.key), ())
            first = next((turn for turn in line if not turn.done()), None)
            if first is not None:
                first.set_result(None)

    def _leave(self, place: tuple[asyncio.AbstractEventLoop, str], turn: asyncio.Future[None]) -> None:
        line = self._waiting[place]
        line.remove(turn)
        if not line:
            del self._waiting[place]
