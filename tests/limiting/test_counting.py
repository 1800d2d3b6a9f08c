"""The counters themselves: the same rules in SQLite, PostgreSQL and Valkey or Redis."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from limiting.counters import NOW, bucket, counting, fail
from rimlock.core.limits_counting import FOREVER, HOLD_SECONDS, SqlCounters, forget_expired
from rimlock.core.schema import limit as table

pytestmark = [pytest.mark.anyio, pytest.mark.req("L13")]


@pytest.mark.asvs("6.3.1", "2.3.4")
async def test_five_failures_close_a_counter_and_the_window_opens_it(counters_url):
    """The sixth finds no place until a minute has passed since the last failure."""
    async with counting(counters_url) as counters:
        one = bucket()
        assert await fail(counters, one, times=4) == ()
        assert await fail(counters, one, at=NOW + 30) == (one,)
        full = await counters.take([one], NOW + 31)
        assert (full.bucket, full.waiting, full.retry_after) == (one, False, 59)
        assert (await counters.take([one], NOW + 89)).retry_after == 1
        assert await counters.take([one], NOW + 90) is None


async def test_attempts_under_way_hold_places_that_come_free(counters_url):
    """Five under way leave no place for a sixth; it may wait, and comes in when one of them succeeded."""
    async with counting(counters_url) as counters:
        one = bucket()
        for _ in range(5):
            assert await counters.take([one], NOW) is None
        assert (await counters.take([one], NOW)).waiting
        await counters.settle([one], "passed", since=NOW, now=NOW)
        assert await counters.take([one], NOW) is None
        assert (await counters.take([one], NOW)).waiting


async def test_who_finds_one_counter_full_takes_a_place_in_none(counters_url):
    """Attempts that are turned away use up nothing of the other counters."""
    async with counting(counters_url) as counters:
        full, free = bucket("full", limit=1), bucket("free", limit=2)
        await fail(counters, full)
        for _ in range(10):
            assert (await counters.take([free, full], NOW)).bucket == full
        assert await counters.take([free], NOW) is None
        assert await counters.take([free], NOW) is None


@pytest.mark.attack("limit cleared by own success")
async def test_a_success_gives_back_its_own_place_and_clears_only_what_is_its_own(counters_url):
    """Somebody else's failures stay; a counter that belongs to who succeeded is emptied."""
    async with counting(counters_url) as counters:
        shared, own = bucket("shared"), bucket("own", cleared=True)
        await fail(counters, shared, own, times=4)
        assert await counters.take([shared, own], NOW) is None
        await counters.settle([shared, own], "passed", since=NOW, now=NOW)
        assert await fail(counters, shared) == (shared,)
        assert await fail(counters, own, times=4) == ()


async def test_a_success_leaves_the_places_of_others_alone(counters_url):
    """Two are under way; one succeeds and empties the counter; the other still holds its place."""
    async with counting(counters_url) as counters:
        own = bucket("own", limit=2, cleared=True)
        assert await counters.take([own], NOW) is None
        assert await counters.take([own], NOW) is None
        await counters.settle([own], "passed", since=NOW, now=NOW)
        assert await counters.take([own], NOW) is None
        assert (await counters.take([own], NOW)).waiting


async def test_an_attempt_whose_process_died_gives_its_place_back(counters_url):
    """After half a minute; and when it ends after all, the place that somebody else took meanwhile is left alone."""
    async with counting(counters_url) as counters:
        one = bucket(limit=1)
        assert await counters.take([one], NOW) is None
        assert (await counters.take([one], NOW + HOLD_SECONDS - 1)).waiting
        later = NOW + HOLD_SECONDS
        assert await counters.take([one], later) is None
        await counters.settle([one], "passed", since=NOW, now=later)
        assert (await counters.take([one], later)).waiting
        await counters.settle([one], "failed", since=NOW, now=later)
        assert not (await counters.take([one], later)).waiting


async def test_a_void_attempt_leaves_nothing(counters_url):
    """What was given back before anything was tested counts neither as failure nor as success."""
    async with counting(counters_url) as counters:
        own = bucket("own", limit=2, cleared=True)
        await fail(counters, own)
        for _ in range(5):
            assert await counters.take([own], NOW) is None
            await counters.settle([own], "void", since=NOW, now=NOW)
        assert await fail(counters, own) == (own,)


async def test_what_costs_is_counted_when_it_succeeds_in_windows_that_begin_with_the_first(counters_url):
    """Two an hour: a third is let in an hour after the first, however late the second was."""
    async with counting(counters_url) as counters:
        visits = bucket("visits", limit=2, seconds=3600, each=True)
        for at in (NOW, NOW + 3000):
            assert await counters.take([visits], at) is None
            await counters.settle([visits], "passed", since=at, now=at)
        assert (await counters.take([visits], NOW + 3001)).retry_after == 599
        assert await counters.take([visits], NOW + 3600) is None


async def test_a_counter_without_an_end_stays_full_until_a_success(counters_url):
    """A hundred failures in a row close for good, however slowly they come."""
    async with counting(counters_url) as counters:
        total = bucket("total", kind="total", limit=3, seconds=FOREVER, cleared=True)
        for day in range(3):
            await fail(counters, total, at=NOW + day * 86_400)
        assert (await counters.take([total], NOW + 365 * 86_400)).retry_after == 900


async def test_a_counter_without_a_limit_only_counts(counters_url):
    """It refuses nobody, and what it counted is seen by who has a limit there."""
    async with counting(counters_url) as counters:
        await fail(counters, bucket("total", limit=None, seconds=FOREVER), times=9)
        assert not (await counters.take([bucket("total", limit=9, seconds=FOREVER)], NOW)).waiting


@pytest.mark.parametrize("moved", [-3600, -86_400, 3600])
async def test_a_clock_that_is_moved_locks_nobody_out(counters_url, moved):
    """Counts of a time that has not come are over, as those of a time long past are."""
    async with counting(counters_url) as counters:
        one = bucket()
        await fail(counters, one, times=5)
        assert await counters.take([one], NOW + moved) is None


async def test_clocks_of_several_hosts_may_differ_a_little(counters_url):
    """A host that is half a minute behind counts on, and tells no longer wait than the window."""
    async with counting(counters_url) as counters:
        one = bucket()
        await fail(counters, one, times=5)
        full = await counters.take([one], NOW - 30)
        assert (full.waiting, full.retry_after) == (False, 60)


async def test_forgiving_empties_what_belongs_to_an_account_and_nothing_else(counters_url):
    """Its counters are found by the account's name wherever it stands in them."""
    async with counting(counters_url) as counters:
        whose = ["a" * 32, "b" * 32]
        mine = [bucket(f"pair@{whose[0]}", limit=1), bucket(f"total@x@{whose[1]}", limit=1)]
        other = bucket(f"pair@{'c' * 32}", limit=1)
        await fail(counters, *mine, other)
        await counters.forgive(whose)
        assert [await counters.take([one], NOW) for one in mine] == [None, None]
        assert await counters.take([other], NOW) is not None


async def test_sweeping_waits_for_nobody_who_is_counting(postgres_url):
    """Two who lock rows in different orders would end each other; what somebody works with is swept the next time."""
    async with counting(postgres_url) as counters:
        for name in ("z", "a"):
            await fail(counters, bucket(name))
        async with elsewhere(postgres_url) as other:
            await other.execute("UPDATE auth_limit SET hits = hits WHERE key = 'a@0'")
            later = NOW + 3600
            assert await counters.database.write(lambda tx: forget_expired(tx, later)) == 1


async def test_forgiving_takes_rows_in_the_order_of_attempts(postgres_url):
    """However they lie in the table: it waits for an attempt and never the other way round as well."""
    async with counting(postgres_url) as counters:
        for name in ("z@me", "a@me"):
            await fail(counters, bucket(name))
        async with elsewhere(postgres_url) as other:
            await other.execute("UPDATE auth_limit SET hits = hits WHERE key = 'a@me@0'")
            forgiving = asyncio.create_task(counters.forgive(["me"]))
            while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - a server's
                await asyncio.sleep(0.01)
            await other.execute("UPDATE auth_limit SET hits = hits WHERE key = 'z@me@0'")
        await forgiving
        assert await counters.database.read(lambda tx: tx.all(select(table))) == []


@asynccontextmanager
async def elsewhere(url):
    """Yield a connection of another program, within a transaction that is committed at the end."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@pytest.mark.attack("lockout race")
async def test_of_forty_at_once_five_find_a_place(counters_url):
    """Read and write are one step."""
    async with counting(counters_url) as counters:
        pair = [bucket("address"), bucket("account"), bucket("both")]
        answers = await asyncio.gather(*(counters.take(pair, NOW) for _ in range(40)))
        assert answers.count(None) == 5


HISTORIES = st.lists(st.tuples(st.integers(0, 25), st.sampled_from(["failed", "passed", "void", "lost"])), max_size=40)


def test_no_history_lets_a_sixth_failure_into_a_minute(sqlite_url):
    """Whatever attempts come, overlap, end or are lost: in no sixty seconds do more than five of them fail."""

    async def play():
        async with counting(sqlite_url) as counters:
            taken = SqlTaken(counters.database)

            @given(HISTORIES)
            def check(history):
                failures = taken.failures(history)
                assert all(sum(at <= other < at + 60 for other in failures) <= 5 for at in failures)

            await asyncio.to_thread(check)

    asyncio.run(play())


class SqlTaken:
    """Plays histories on a database, each on a counter of its own."""

    def __init__(self, database):
        self.database, self.loop, self.played = database, asyncio.get_running_loop(), 0

    def run(self, work):
        """Run a coroutine on the loop of the database."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def failures(self, history):
        """Return when attempts failed: of (seconds until the next begins, how it ends), three under way at most."""
        self.played += 1
        counters, one = SqlCounters(self.database), bucket(f"history{self.played}")
        now, under_way, failed = NOW, [], []
        for pause, ending in history:
            now += pause
            if self.run(counters.take([one], now)) is None:
                under_way.append((now, ending))
            while len(under_way) > 2:
                since, ended = under_way.pop(0)
                if ended == "lost" or now - since >= HOLD_SECONDS:
                    continue
                self.run(counters.settle([one], ended, since=since, now=now))
                failed += [now] if ended == "failed" else []
        return failed


async def test_an_attempt_is_one_statement_and_its_end_another(database_url):
    """However many counters it passes, and also when there is no place."""
    async with counting(database_url) as counters:
        database = counters.database
        four = [bucket(name) for name in ("a", "b", "c", "d")]
        before = database.executed
        await counters.take(four, NOW)
        assert database.executed - before == 1
        await counters.settle(four, "failed", since=NOW, now=NOW)
        assert database.executed - before == 2
        await fail(counters, *four, times=4)
        before = database.executed
        assert await counters.take(four, NOW) is not None
        assert database.executed - before <= 1


async def test_what_is_over_is_deleted_and_what_counts_is_not(database_url):
    """Counters whose window has passed and in which nobody holds a place."""
    async with counting(database_url) as counters:
        await fail(counters, bucket("old"))
        await fail(counters, bucket("young"), at=NOW + 50)
        await counters.take([bucket("held", seconds=1)], NOW + 50)
        await counters.database.write(lambda tx: forget_expired(tx, NOW + 61))
        rows = await counters.database.read(lambda tx: tx.all(select(table.c.key)))
        assert {row["key"] for row in rows} == {"young@0", "held@0"}
