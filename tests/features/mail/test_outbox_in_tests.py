"""The outbox that an application's own tests read."""

from __future__ import annotations

import pytest

from rimlock import Rimlock, Settings
from rimlock.core.messages import Message
from rimlock.testing import Outbox

pytestmark = pytest.mark.req("F3")
SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"


def posted(auth, **said):
    """Return the work that posts one message."""
    message = Message(kind="test", to="ann@example.com", **said)
    return lambda tx: auth.context.post(tx, message)


@pytest.mark.anyio
async def test_a_test_reads_what_was_posted(database_url):
    """A committed message is there at once, with its facts and its link."""
    auth = Rimlock(Settings(secrets=[SECRET], database=database_url, create_tables=True), features=[])
    outbox = Outbox(auth)
    await auth.start()
    try:
        await auth.database.write(posted(auth, facts={"name": "Ann", "link": "https://a.example/x?y=1"}))
        assert outbox.last().facts["name"] == "Ann"
        assert outbox.link("ann@example.com", "test") == "https://a.example/x?y=1"
        assert outbox.to("bob@example.com") == []
    finally:
        await auth.stop()


@pytest.mark.anyio
async def test_what_was_rolled_back_was_never_said(database_url):
    """A message of a transaction that failed is not among them."""
    auth = Rimlock(Settings(secrets=[SECRET], database=database_url, create_tables=True), features=[])
    outbox = Outbox(auth)
    await auth.start()

    def fails(tx):
        posted(auth)(tx)
        raise RuntimeError

    try:
        with pytest.raises(RuntimeError):
            await auth.database.write(fails)
        assert outbox.messages == []
    finally:
        await auth.stop()
