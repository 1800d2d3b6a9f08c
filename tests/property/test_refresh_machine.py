"""Refresh tokens in any order, by anybody who holds one: one living leaf, honest people stay, thieves end it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from rimlock import migrations
from rimlock.core import accounts, sessions
from rimlock.core.engines import open_database
from rimlock.core.errors import CredentialInvalid
from rimlock.core.schema import session as table
from rimlock.core.sessions import Device, Lifetimes, RefreshReused
from rimlock.testing import FrozenClock

LIFETIMES = Lifetimes(absolute=5_000, idle=1_000, grace=30)


class RefreshMachine(RuleBasedStateMachine):
    """An owner with tabs and a thief share one session; the model says who may go on.

    The model keeps the newest generation, when it was made, and whether the session is over.
    """

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.told = []
        url = f"sqlite:///{Path(self.folder.name) / 'machine.db'}"
        self.loop.run_until_complete(migrations.upgrade(url))
        self.database = open_database(url, self.told.append)
        self.clock = FrozenClock()

    def teardown(self):
        self.loop.run_until_complete(self.database.close())
        self.loop.close()
        self.folder.cleanup()

    def write(self, work):
        return self.loop.run_until_complete(self.database.write(work))

    def row(self):
        return self.loop.run_until_complete(
            self.database.read(lambda tx: tx.one(select(table).where(table.c.id == self.session.id)))
        )

    @initialize()
    def sign_in(self):
        """Start the one session."""
        now = int(self.clock())
        self.began = self.made_at = now
        self.newest, self.over, self.active = 0, False, True

        def work(tx):
            accounts.open_account(tx, "ann", now=now)
            return sessions.issue(tx, "ann", methods=("test",), device=Device(), lifetimes=LIFETIMES, now=now)

        self.session = self.write(work)

    def now(self):
        return int(self.clock())

    def expired(self):
        return self.now() >= self.made_at + LIFETIMES.idle or self.now() >= self.began + LIFETIMES.absolute

    def use(self, generation):
        """Use a token; return the generation of its successor, None when it was refused."""
        work = sessions.refresh(self.database, self.session.id, generation, grace=LIFETIMES.grace, now=self.now())
        try:
            return self.loop.run_until_complete(work).generation
        except CredentialInvalid:
            return None

    @rule(lost=st.booleans())
    def the_owner_refreshes(self, lost):
        """With the newest token; perhaps the answer is lost, and the owner asks again with what they have."""
        alive = not self.over and self.active and not self.expired()
        got = self.use(self.newest)
        assert (got is not None) == alive
        if alive:
            assert got == self.newest + 1
            self.newest, self.made_at = got, self.now()
            if lost:
                assert self.use(got - 1) == got, "a lost answer is given again"

    @precondition(lambda self: self.newest > 0)
    @rule(times=st.integers(1, 4))
    def other_tabs_refresh(self, times):
        """With the token before the newest: the same successor within the grace, the end of the session after it."""
        alive = not self.over and self.active and not self.expired()
        within = self.now() <= self.made_at + LIFETIMES.grace
        for _ in range(times):
            assert self.use(self.newest - 1) == (self.newest if alive and within else None)
        self.over = self.over or (alive and not within)

    @precondition(lambda self: self.newest > 1)
    @rule(age=st.integers(2, 6))
    def a_thief_uses_an_old_token(self, age):
        """A token that was used, and whose successor was used, is nobody's any more: the session ends."""
        alive = not self.over and self.active and not self.expired()
        told = sum(isinstance(event, RefreshReused) for event in self.told)
        assert self.use(max(0, self.newest - age)) is None
        assert sum(isinstance(event, RefreshReused) for event in self.told) == told + alive
        self.over = self.over or alive

    @rule(ahead=st.integers(1, 5))
    def somebody_uses_a_token_that_was_never_made(self, ahead):
        """A generation that is not there yet gets nothing and changes nothing."""
        assert self.use(self.newest + ahead) is None

    @rule(seconds=st.sampled_from([0, 1, 29, 30, 31, 500, 999, 1000, 1001, 4999]))
    def time_passes(self, seconds):
        """Within the grace, past it, to the edge of idleness, past everything."""
        self.clock.advance(seconds)

    @precondition(lambda self: self.active)
    @rule()
    def the_account_is_disabled(self):
        """It refreshes no more while it is."""
        self.write(lambda tx: accounts.set_active(tx, "ann", active=False, now=self.now()))
        self.active = False

    @precondition(lambda self: not self.active)
    @rule()
    def the_account_is_enabled(self):
        """It goes on where it was."""
        self.write(lambda tx: accounts.set_active(tx, "ann", active=True, now=self.now()))
        self.active = True

    @rule()
    def the_owner_signs_out(self):
        """Once, and it is over."""
        ended = self.write(lambda tx: sessions.end(tx, self.session.id, reason="logout", now=self.now()))
        assert ended == (not self.over)
        self.over = True

    @invariant()
    def there_is_at_most_one_living_leaf(self):
        """One row, whose generation is the newest that was given out; its end is never put off."""
        if not hasattr(self, "session"):
            return
        row = self.row()
        assert row["generation"] == self.newest
        assert row["expires_at"] == self.began + LIFETIMES.absolute
        assert row["refreshed_at"] == self.made_at
        assert row["idle_seconds"] == LIFETIMES.idle
        assert (row["ended_at"] is not None) == self.over


RefreshMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


@pytest.mark.req("L6")
class TestRefreshMachine(RefreshMachine.TestCase):
    """Thirty lives of a session, of up to twenty-five steps."""
