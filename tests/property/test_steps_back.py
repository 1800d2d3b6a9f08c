"""Whatever is changed at run time, and in whichever order it is taken back: each step restores what was before."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import create_engine

from rimlock import Rule, Stage
from rimlock.core import rollout, schema
from rimlock.core.access import RuleBook
from rimlock.core.database import Transaction
from rimlock.core.errors import NotFound

ROUTES = [("GET", "/a"), ("POST", "/a"), ("GET", "/b"), ("GET", "/a/b")]
PATTERNS = ["GET /a", "* /a", "* /a/**", "GET /b"]
CODE = (Rule(pattern="/a/**", stage=Stage.OBSERVE), Rule(pattern="GET /b", stage=Stage.OPTIONAL, percent=30))


class Operators(RuleBasedStateMachine):
    """Operators turn targets for some or for all, and take steps back; beside it, the steps that are left."""

    def __init__(self):
        super().__init__()
        self.engine = create_engine("sqlite://")
        schema.metadata.create_all(self.engine)
        self.left = []
        self.now = 1_000

    def transaction(self, work):
        """Run in a transaction of its own."""
        self.now += 1
        with self.engine.begin() as connection:
            return work(Transaction(connection, "sqlite"))

    def in_force(self):
        """Return what every route and share of callers meets."""
        book = RuleBook(code=CODE).with_running(self.transaction(rollout.running_rules))
        return {
            (route, share): (held.stage, held.until)
            for route in ROUTES
            for share in range(0, 100, 5)
            if (held := book.ruling(*route).for_share(share))
        }

    @rule(
        pattern=st.sampled_from(PATTERNS),
        stage=st.none() | st.sampled_from(list(Stage)),
        percent=st.sampled_from([100, 100, 0, 20, 60]),
        until=st.none() | st.integers(2_000, 3_000),
    )
    def turn(self, pattern, stage, percent, until):
        """Set a stage."""
        before = self.in_force()
        work = lambda tx: rollout.set_stage(tx, pattern, stage, actor="t", now=self.now, percent=percent, until=until)
        self.transaction(work)
        self.left.append((pattern, before, work))

    @precondition(lambda self: self.left)
    @rule()
    def take_back(self):
        """One step back, of whichever target was changed last: exactly what held before it holds again."""
        pattern, before, _ = self.left.pop()
        undone = self.transaction(lambda tx: rollout.back(tx, actor="t", now=self.now))
        assert undone.pattern == pattern
        assert self.in_force() == before

    @precondition(lambda self: not self.left)
    @rule()
    def take_back_nothing(self):
        """There is nothing to take back once everything is."""
        with pytest.raises(NotFound):
            self.transaction(lambda tx: rollout.back(tx, actor="t", now=self.now))

    @invariant()
    def nothing_changed_is_the_configuration(self):
        """When every step is taken back, the code alone is in force."""
        if not self.left:
            book = RuleBook(code=CODE)
            assert self.in_force() == {
                (route, share): (book.ruling(*route).for_share(share).stage, None)
                for route in ROUTES
                for share in range(0, 100, 5)
            }

    def teardown(self):
        """Close the database."""
        self.engine.dispose()


class TargetsApart(Operators):
    """The same, with each target taken back by itself."""

    @precondition(lambda self: self.left)
    @rule(data=st.data())
    def take_back(self, data):
        """One step back of one target: what holds is what the steps that are left make by themselves."""
        pattern = data.draw(st.sampled_from(sorted({step[0] for step in self.left})))
        place = max(place for place, step in enumerate(self.left) if step[0] == pattern)
        del self.left[place]
        self.transaction(lambda tx: rollout.back(tx, actor="t", now=self.now, pattern=pattern))
        assert self.in_force() == self.from_scratch()

    def from_scratch(self):
        """Return what would hold where nothing but the steps that are left was ever done."""
        kept, self.engine = self.engine, create_engine("sqlite://")
        tables = [schema.rollout, schema.journal]
        schema.metadata.create_all(self.engine, tables=tables)
        try:
            for _, _, work in self.left:
                self.transaction(work)
            return self.in_force()
        finally:
            self.engine.dispose()
            self.engine = kept


Operators.TestCase.settings = TargetsApart.TestCase.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None
)
TestOneStepBack = pytest.mark.req("L2")(Operators.TestCase)
TestOneStepBackOfOneTarget = pytest.mark.req("L2")(TargetsApart.TestCase)
