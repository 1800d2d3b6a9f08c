"""What a process remembers of revocations: enough, not for ever, and in little room."""

from __future__ import annotations

import tracemalloc
from secrets import randbits

import pytest
from sqlalchemy import insert

from rimlock import migrations
from rimlock.core.engines import open_database
from rimlock.core.follower import follow
from rimlock.core.revocations import KEPT_SECONDS, Entry, Revocations
from rimlock.core.schema import journal

NOW = 1_800_000_000


def ended(session, place=0, at=NOW):
    """Return the line that ends a session."""
    return Entry(place, "session", f"{session:032x}", 0, at + KEPT_SECONDS)


@pytest.mark.req("L5")
def test_a_revoked_session_costs_little():
    """Two hundred thousand sessions: at most 120 bytes each, with everything that is kept to forget them."""
    lines = (ended(randbits(128), place, NOW + place // 50) for place in range(200_000))
    memory = Revocations()
    tracemalloc.start()
    memory.apply(lines)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(memory.sessions) == 200_000
    assert used / 200_000 <= 120


def test_what_is_over_is_forgotten_and_nothing_sooner():
    """A session and an epoch are remembered as long as a token can live that they concern."""
    memory = Revocations()
    memory.apply([ended(1), ended(2, at=NOW + 3600), Entry(3, "user", "ann", 1, NOW + KEPT_SECONDS)])
    memory.apply(
        [Entry(4, "user", "bob", 1, NOW + KEPT_SECONDS), Entry(5, "user", "bob", 2, NOW + 3600 + KEPT_SECONDS)]
    )
    memory.forget(NOW + KEPT_SECONDS)
    assert memory.refuses(1, "eve", 0)
    assert memory.refuses(7, "ann", 0)
    memory.forget(NOW + KEPT_SECONDS + 121)
    assert not memory.refuses(1, "eve", 0)
    assert not memory.refuses(7, "ann", 0)
    assert memory.refuses(2, "eve", 0)
    assert memory.refuses(7, "bob", 1)
    memory.forget(NOW + 2 * KEPT_SECONDS)
    assert not memory.sessions
    assert not memory.epochs


def test_lines_heard_twice_and_late_change_nothing():
    """An epoch never goes back, and a line may come by several ways."""
    memory = Revocations()
    memory.apply([Entry(9, "user", "ann", 3, NOW), Entry(2, "user", "ann", 2, NOW), ended(1), ended(1, 10)])
    assert memory.epochs == {"ann": 3}
    assert memory.position == 10
    assert memory.refuses(5, "ann", 2)
    assert not memory.refuses(5, "ann", 3)


@pytest.mark.anyio
async def test_a_long_journal_is_known_before_the_first_request(database_url):
    """Twenty thousand lines are read at the start."""
    await migrations.upgrade(database_url)
    database = open_database(database_url, lambda _: None)
    rows = [{"kind": "session", "subject": f"{number:032x}", "value": 0, "expires_at": NOW} for number in range(20_000)]
    await database.write(lambda tx: tx.change(insert(journal), rows))
    memory = Revocations()
    follower = follow(database, memory)
    await follower.start()
    assert follower.current()
    assert len(memory.sessions) == 20_000
    await follower.stop()
    await database.close()
