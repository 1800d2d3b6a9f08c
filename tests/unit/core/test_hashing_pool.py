"""The hashing pool: who is let in, what is never hashed, and that an unknown account costs the same."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, get_native_id

import pytest

from rimlock.core.errors import Busy, ConfigurationError, Unavailable
from rimlock.core.hashing import HashingPool
from rimlock.crypto.passwords import (
    CHEAPEST_FOR_TESTS,
    Argon2Cost,
    HashUnreadable,
    PasswordHashes,
    PasswordMismatch,
    PasswordTooLong,
    Verified,
)

pytestmark = pytest.mark.anyio
PATIENCE = 20


class GatedHasher:
    """A host's own hasher, which works only while its gate is open, and writes down what it was asked."""

    def __init__(self):
        self.gate, self.started, self.asked, self.threads, self._lock = Event(), Event(), [], [], Lock()

    def hash(self, password):
        self._work("hash", password)
        return f"kept:{password}"

    def verify(self, stored, password):
        self._work(stored, password)
        if stored == "unreadable":
            raise HashUnreadable
        if stored != f"kept:{password}":
            raise PasswordMismatch
        return Verified(upgrade=False)

    def dummy(self):
        return "dummy"

    def _work(self, *asked):
        with self._lock:
            self.asked.append(asked)
            self.threads.append(get_native_id())
        self.started.set()
        assert self.gate.wait(PATIENCE)


def opened():
    """Return a hasher that never makes anybody wait."""
    hasher = GatedHasher()
    hasher.gate.set()
    return hasher


async def settle(pool, count):
    """Return once exactly this many callers are in the pool."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if pool.in_flight == count:
                return
            await asyncio.sleep(0)


async def fill(pool, hasher, count):
    """Bring `count` callers in, and return once the first is being worked for."""
    callers = [asyncio.create_task(pool.hash(f"caller {number}")) for number in range(count)]
    await settle(pool, count)
    assert await asyncio.to_thread(hasher.started.wait, PATIENCE)
    return callers


@pytest.mark.req("L19")
async def test_a_password_hashed_in_the_pool_is_verified_in_the_pool():
    """The real hasher at the default cost: right is right, wrong raises, and nothing is left in flight."""
    pool = HashingPool(PasswordHashes())
    stored = await pool.hash("violet gravel umbrella")
    assert await pool.verify(stored, "violet gravel umbrella") == Verified(upgrade=False)
    with pytest.raises(PasswordMismatch):
        await pool.verify(stored, "violet gravel umbrellb")
    assert pool.in_flight == 0
    pool.close()


async def test_one_caller_more_than_workers_and_queue_is_refused_and_nothing_is_hashed_for_it():
    """Two workers and three places: the sixth gets Busy at once, the five others are served when the work goes on."""
    hasher = GatedHasher()
    pool = HashingPool(hasher, workers=2, queue_limit=3)
    callers = await fill(pool, hasher, 5)
    with pytest.raises(Busy) as refusal:
        await pool.hash("one too many")
    assert refusal.value.retry_after == 1
    hasher.gate.set()
    assert await asyncio.gather(*callers) == [f"kept:caller {number}" for number in range(5)]
    assert ("hash", "one too many") not in hasher.asked
    assert await pool.hash("after the rush") == "kept:after the rush"
    pool.close()


async def test_a_queue_of_none_admits_as_many_as_there_are_workers():
    """With queue_limit 0 the second caller of one worker is refused."""
    hasher = GatedHasher()
    pool = HashingPool(hasher, workers=1, queue_limit=0)
    callers = await fill(pool, hasher, 1)
    with pytest.raises(Busy):
        await pool.verify("kept:x", "x")
    hasher.gate.set()
    await asyncio.gather(*callers)
    pool.close()


@pytest.mark.parametrize(
    "workers, seconds_per_hash, expected",
    [(1, 0.0, 1), (1, 0.02, 1), (1, 0.5, 5), (1, 0.501, 6), (2, 1.0, 5), (1, 900.0, 30)],
)
async def test_retry_after_is_the_time_the_full_queue_takes(workers, seconds_per_hash, expected):
    """Ten places at the pace of the last hash, in whole seconds, at least 1 and at most 30."""
    readings = iter([0.0, seconds_per_hash] + [seconds_per_hash] * 100)
    hasher = opened()
    pool = HashingPool(hasher, workers=workers, queue_limit=10 - workers, timer=lambda: next(readings))
    await pool.hash("sets the pace")
    hasher.gate.clear()
    hasher.started.clear()
    callers = await fill(pool, hasher, 10)
    with pytest.raises(Busy) as refusal:
        await pool.hash("too late")
    assert refusal.value.retry_after == expected
    hasher.gate.set()
    await asyncio.gather(*callers)
    pool.close()


async def test_a_waiter_who_goes_away_frees_the_place_and_is_never_hashed():
    """A client that hangs up while it waits costs nothing: the next caller takes its place before any work is done."""
    hasher = GatedHasher()
    pool = HashingPool(hasher, workers=1, queue_limit=1)
    working, waiting = await fill(pool, hasher, 2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await settle(pool, 1)
    successor = asyncio.create_task(pool.hash("successor"))
    await settle(pool, 2)
    hasher.gate.set()
    assert await working == "kept:caller 0"
    assert await successor == "kept:successor"
    assert ("hash", "caller 1") not in hasher.asked
    pool.close()


async def test_a_caller_who_goes_away_while_it_is_worked_for_keeps_its_place_until_the_work_is_done():
    """Hanging up in the middle frees nothing early: the thread is busy, so the bound holds."""
    hasher = GatedHasher()
    pool = HashingPool(hasher, workers=1, queue_limit=0)
    (working,) = await fill(pool, hasher, 1)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    with pytest.raises(Busy):
        await pool.hash("hopeful")
    hasher.gate.set()
    await settle(pool, 0)
    assert await pool.hash("hopeful") == "kept:hopeful"
    pool.close()


@pytest.mark.parametrize("stored", [None, "unreadable"])
async def test_without_a_usable_hash_the_same_work_is_done(stored):
    """An unknown account and an unreadable hash each cost one verification of the dummy, and both are refused."""
    hasher = opened()
    pool = HashingPool(hasher)
    with pytest.raises(PasswordMismatch if stored is None else HashUnreadable):
        await pool.verify(stored, "guess")
    assert hasher.asked[-1] == ("dummy", "guess")
    assert hasher.asked.count(("dummy", "guess")) == 1
    pool.close()


async def test_a_known_account_never_pays_for_the_dummy():
    """Exactly one verification each: unknown account and wrong password are the same number of hashes."""
    hasher = opened()
    pool = HashingPool(hasher)
    with pytest.raises(PasswordMismatch):
        await pool.verify("kept:right", "wrong")
    with pytest.raises(PasswordMismatch):
        await pool.verify(None, "wrong")
    assert hasher.asked == [("kept:right", "wrong"), ("dummy", "wrong")]
    pool.close()


async def test_an_unknown_account_is_refused_even_when_the_hasher_says_yes_to_its_dummy():
    """A host's careless hasher whose dummy matches a password lets nobody in."""

    class Careless(GatedHasher):
        def dummy(self):
            return "kept:letmein"

    hasher = Careless()
    hasher.gate.set()
    pool = HashingPool(hasher)
    with pytest.raises(PasswordMismatch):
        await pool.verify(None, "letmein")
    pool.close()


async def test_a_password_beyond_the_limit_is_refused_alike_for_known_and_unknown_accounts():
    """Length is judged before the account matters."""
    pool = HashingPool(PasswordHashes(CHEAPEST_FOR_TESTS))
    stored = await pool.hash("violet gravel umbrella")
    for kept in (stored, None):
        with pytest.raises(PasswordTooLong):
            await pool.verify(kept, "x" * 1_025)
    pool.close()


async def test_an_error_of_the_hasher_reaches_the_caller_and_the_pool_goes_on():
    """A failing backend refuses: the error is passed on, the place is free again, the next caller is served."""

    class Broken(GatedHasher):
        def verify(self, stored, password):
            raise MemoryError

    hasher = Broken()
    hasher.gate.set()
    pool = HashingPool(hasher, workers=1, queue_limit=0)
    for _ in range(3):
        with pytest.raises(MemoryError):
            await pool.verify("kept:x", "x")
    assert pool.in_flight == 0
    assert await pool.hash("next") == "kept:next"
    pool.close()


async def test_closing_turns_away_who_waits_and_finishes_what_runs():
    """The running hash is delivered; the waiting caller gets Unavailable, not a cancellation it never asked for."""
    hasher = GatedHasher()
    pool = HashingPool(hasher, workers=1, queue_limit=1)
    working, waiting = await fill(pool, hasher, 2)
    closing = asyncio.create_task(asyncio.to_thread(pool.close))
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await pool.hash("newcomer")
    hasher.gate.set()
    assert await working == "kept:caller 0"
    await closing
    assert hasher.asked == [("hash", "caller 0")]
    assert pool.in_flight == 0


async def test_a_caller_cancelled_during_the_close_is_cancelled():
    """A cancellation that was asked for stays one, though the pool is closed as well."""
    hasher = GatedHasher()
    pool = HashingPool(hasher, workers=1, queue_limit=1)
    working, waiting = await fill(pool, hasher, 2)
    waiting.cancel()
    hasher.gate.set()
    pool.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await working == "kept:caller 0"


async def test_closing_twice_and_closing_unused_is_harmless():
    """Close is safe in any order of teardown."""
    pool = HashingPool(opened())
    pool.close()
    pool.close()
    with pytest.raises(Unavailable):
        await pool.verify(None, "x")


def test_several_event_loops_share_one_pool():
    """Four loops in four threads verify through the same pool; the bound is common to them."""
    pool = HashingPool(PasswordHashes(CHEAPEST_FOR_TESTS), workers=2, queue_limit=16)
    stored = pool.hasher.hash("violet gravel umbrella")

    async def several():
        return [await pool.verify(stored, "violet gravel umbrella") for _ in range(5)]

    with ThreadPoolExecutor(4) as loops:
        answers = list(loops.map(lambda _: asyncio.run(several()), range(4)))
    assert answers == [[Verified(upgrade=False)] * 5] * 4
    assert pool.in_flight == 0
    pool.close()


def test_the_bound_holds_when_many_threads_ask_at_once():
    """Eight loops press on one place: exactly one is served, the others are refused."""
    hasher = GatedHasher()
    pool = HashingPool(hasher, workers=1, queue_limit=0)
    refused = []

    def press(number):
        try:
            return asyncio.run(pool.hash(f"caller {number}"))
        except Busy as busy:
            refused.append(busy)
            if len(refused) == 7:
                hasher.gate.set()
            return None

    with ThreadPoolExecutor(8) as loops:
        served = [answer for answer in loops.map(press, range(8)) if answer]
    assert (len(served), len(refused)) == (1, 7)
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives single threads a priority")
@pytest.mark.parametrize(
    "priority, policy, steps_down",
    [("low", "SCHED_OTHER", 10), ("idle", "SCHED_IDLE", 0), ("normal", "SCHED_OTHER", 0)],
)
async def test_workers_give_way_and_the_loop_does_not(priority, policy, steps_down):
    """The priority is lowered on the hashing thread alone, and only as far as the host asks."""
    hasher, own = GatedHasher(), os.getpriority(os.PRIO_PROCESS, get_native_id())
    pool = HashingPool(hasher, priority=priority)
    callers = await fill(pool, hasher, 1)
    assert os.sched_getscheduler(hasher.threads[0]) == getattr(os, policy)
    assert os.getpriority(os.PRIO_PROCESS, hasher.threads[0]) == (max(own, 10) if steps_down else own)
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, get_native_id())) == (os.SCHED_OTHER, own)
    hasher.gate.set()
    await asyncio.gather(*callers)
    pool.close()


@pytest.mark.parametrize("settings", [{"workers": 0}, {"workers": -1}, {"queue_limit": -1}])
def test_a_pool_nobody_works_in_is_a_wiring_mistake(settings):
    """Refused at construction, with the mend in the sentence."""
    with pytest.raises(ConfigurationError, match="at least one worker"):
        HashingPool(PasswordHashes(Argon2Cost(1, 8)), **settings)
