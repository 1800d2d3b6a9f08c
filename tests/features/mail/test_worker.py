"""Messages are sent in the background: by a started application, by one without a lifespan, and until it stops."""

from __future__ import annotations

import asyncio
import time

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from features.mail.post_office import Greetings, installed, mail_server, post, rogue_server, rows, running, told
from rimlock.core.acting import Acting, begin, end
from rimlock.core.messages import Message
from rimlock.features.mail import MailFeature, mail_of
from rimlock.features.status import StatusFeature

pytestmark = pytest.mark.req("F3")


class Gathered:
    """A way out of the host's own that keeps what it is given, and says when something came."""

    def __init__(self):
        self.mails, self.came = [], asyncio.Event()

    def lane(self):
        return self

    async def send(self, mail):
        self.mails.append(mail)
        self.came.set()

    async def close(self):
        pass


def on_an_application(url, *, mail=None, mail_url="none:", **more):
    """Return an application with an installation that gathers its mails."""
    gathered = Gathered()
    auth, events = installed(url, mail_url, mail=mail or MailFeature(transport=gathered), **more)
    app = FastAPI()
    auth.install(app)

    @app.post("/tell")
    async def tell(to: str):
        await post(auth, to=to)

    return app, auth, gathered, events


async def until(condition):
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - another task does it
            await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_a_posted_message_wakes_the_worker(database_url):
    """It is sent without anybody asking for it; who made the request is not who sends."""
    _, auth, gathered, events = on_an_application(database_url)
    token = begin(Acting(actor="user:7", address="192.0.2.1"))
    async with running(auth):
        await post(auth)
        end(token)
        async with asyncio.timeout(20):
            await gathered.came.wait()
        await until(lambda: _is_noted(auth))
        await until(lambda: _is_told(events))
        assert told(events, "MessagePosted")[0].acting.actor == "user:7"
        assert told(events, "MessageSent")[0].acting.actor == ""
    assert [mail.to for mail in gathered.mails] == ["ann@example.com"]


async def _is_told(events):
    return bool(told(events, "MessageSent"))


async def _is_noted(auth):
    return all(row["sent_at"] for row in await rows(auth))


@pytest.mark.anyio
async def test_a_message_of_another_process_is_found(database_url):
    """Nobody tells this process of it; it looks now and then."""
    from datetime import timedelta

    gathered = Gathered()
    mail = MailFeature(transport=gathered, poll=timedelta(milliseconds=50))
    _, auth, _, _ = on_an_application(database_url, mail=mail)
    other, _ = installed(database_url, "none:")
    async with running(auth), running(other):
        await post(other)
        async with asyncio.timeout(20):
            await gathered.came.wait()


def test_an_application_without_a_lifespan_sends(sqlite_url):
    """Its first request starts everything; each loop that comes later goes on with what the one before left."""
    app, auth, gathered, _ = on_an_application(sqlite_url)
    client = TestClient(app)
    for number in range(3):
        assert client.post("/tell", params={"to": f"p{number}@example.com"}).status_code == 200

    async def settle():
        await post(auth, to="last@example.com")
        await until(lambda: _is_noted(auth))

    asyncio.run(settle())
    wanted = {"last@example.com", "p0@example.com", "p1@example.com", "p2@example.com"}
    assert {mail.to for mail in gathered.mails} == wanted


def test_an_application_with_a_lifespan_sends_and_ends(database_url):
    """What is posted in a request is sent while it runs, and the end of it leaves no work behind."""
    app, _, gathered, _ = on_an_application(database_url)
    with TestClient(app) as client:
        client.post("/tell", params={"to": "ann@example.com"})
        client.portal.call(lambda: asyncio.wait_for(gathered.came.wait(), 20))
    assert [mail.to for mail in gathered.mails] == ["ann@example.com"]


@pytest.mark.anyio
async def test_a_stop_does_not_wait_for_a_server_that_hangs(sqlite_url):
    """What is being sent gets a moment; it stays claimed, and what was not begun is due at once."""
    async with rogue_server("end", "hang") as (rogue, url):
        _, auth, _, _ = on_an_application(sqlite_url, mail=MailFeature(), mail_url=url)
        await auth.start()
        for number in range(6):
            await post(auth, to=f"p{number}@example.com")

        async def begun():
            return len(rogue.connections) == 4

        await until(begun)
        before = time.monotonic()
        await auth.stop()
        assert time.monotonic() - before < 20
    other, _ = installed(sqlite_url, "none:")
    async with running(other):
        found = await rows(other)
    assert sorted(row["attempts"] for row in found) == [0, 0, 1, 1, 1, 1]
    assert {row["claimed_by"] is None for row in found if row["attempts"] == 0} == {True}


@pytest.mark.anyio
async def test_nothing_is_sent_where_no_application_is_served(sqlite_url, capsys):
    """A command that posts leaves the sending to a server."""
    auth, _ = installed(sqlite_url, "console:")
    async with running(auth):
        await post(auth)
        await asyncio.sleep(0.4)
        assert (await rows(auth))[0]["attempts"] == 0
    assert capsys.readouterr().out == ""


@pytest.mark.anyio
async def test_it_can_be_stopped_and_started_again(sqlite_url):
    """After a stop nothing is sent; after another start, everything."""
    _, auth, gathered, _ = on_an_application(sqlite_url)
    await auth.start()
    await auth.stop()
    await post(auth)
    await asyncio.sleep(0.4)
    assert gathered.mails == []
    async with running(auth):
        await post(auth)
        await until(lambda: _is_noted(auth))
    assert len(gathered.mails) == 2


@pytest.mark.anyio
async def test_the_worker_outlives_what_goes_wrong(sqlite_url, caplog):
    """A database that does not answer for a while costs a line of the log, and no message."""
    _, auth, gathered, _ = on_an_application(sqlite_url)
    delivery = mail_of(auth).delivery
    failing = [True]
    good = delivery.next_due

    async def bad():
        if failing:
            failing.pop()
            raise RuntimeError("password=hush")
        return await good()

    delivery.next_due = bad
    async with running(auth):
        await post(auth)
        async with asyncio.timeout(30):
            await gathered.came.wait()
    assert "mails could not be seen to: RuntimeError" in caplog.text
    assert "hush" not in caplog.text


def test_the_health_check_counts_what_waits(database_url, clock):
    """How many wait, since when, and how many nobody tries any more. A mail server that is away makes nobody unwell."""
    auth, _ = installed(
        database_url, "none:", clock=clock, mail=MailFeature(transport=Gathered()), features=[StatusFeature()]
    )
    app = FastAPI()
    auth.install(app)
    with TestClient(app) as client:
        client.portal.call(lambda: post(auth, kind="unknown"))
        client.portal.call(lambda: post(auth, to="a,b@example.com"))
        client.portal.call(mail_of(auth).delivery.all_due)
        clock.advance(90)
        answer = client.get("/auth/health")
        assert answer.status_code == 200
        assert answer.json()["parts"]["mail"] == {"status": "ok", "waiting": 1, "oldest_seconds": 90, "dead": 1}


@pytest.mark.anyio
async def test_the_language_of_the_user_is_used(database_url):
    """What a user chose counts where the message names no language."""
    from rimlock.core import accounts
    from rimlock.core.users import NewUser

    gathered = Gathered()
    auth, _ = installed(
        database_url, "none:", mail=MailFeature(transport=gathered), features=[Greetings()], locale="en"
    )

    def make(tx):
        user = auth.context.users.create(tx, NewUser(email="ann@example.com"), auth.context.now())
        accounts.open_account(tx, user.id, now=auth.context.now(), locale="de-CH")
        facts = {"name": "Ann", "link": "https://lab.example.com/x"}
        for locale in (None, "en"):
            message = Message(kind="greeting", to=user.email, facts=facts, user_id=user.id, locale=locale)
            auth.context.post(tx, message)

    async with running(auth):
        await auth.database.write(make)
        await mail_of(auth).delivery.all_due()
    assert sorted(mail.letter.locale for mail in gathered.mails) == ["de", "en"]


@pytest.mark.anyio
async def test_a_real_server_gets_what_an_application_posts(sqlite_url):
    """The whole way: a request, the outbox, the worker, SMTP."""
    async with mail_server() as (sink, url):
        _, auth, _, _ = on_an_application(sqlite_url, mail=MailFeature(), mail_url=url)
        async with running(auth):
            await post(auth)

            async def taken():
                return bool(sink.mails)

            await until(taken)
    assert sink.mails[0]["To"] == "ann@example.com"
