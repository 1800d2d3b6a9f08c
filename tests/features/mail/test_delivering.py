"""Messages leave the outbox once, whatever the mail server and the process do."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from features.mail.post_office import installed, mail_server, post, rogue_server, rows, running, told
from rimlock.core.outbox import MessagePosted
from rimlock.features.mail import MailFeature, mail_of
from rimlock.features.mail.logic import rows as statements
from rimlock.features.mail.logic.delivering import MOST_ATTEMPTS, pause_after

pytestmark = pytest.mark.req("F3")
SHORT = timedelta(milliseconds=400)
STAGES = ["connect", "ehlo", "mail", "rcpt", "data", "end"]


def delivery(auth):
    """Return what sends in an installation."""
    return mail_of(auth).delivery


@pytest.mark.anyio
async def test_a_message_is_sent_once_and_what_it_said_is_gone(database_url, clock):
    """A real server takes it; the row says when, and nothing else; a second round sends nothing."""
    async with mail_server() as (sink, url):
        auth, events = installed(database_url, url, clock=clock)
        async with running(auth):
            await post(auth, user_id="7")
            assert (await delivery(auth).all_due()).sent == 1
            assert (await delivery(auth).all_due()).sent == 0
            (row,) = await rows(auth)
            assert row["sealed"] is None
            assert (row["sent_at"], row["attempts"], row["claimed_by"], row["error"]) == (int(clock()), 1, None, "")
            (sent,) = told(events, "MessageSent")
            assert (sent.message_id, sent.kind, sent.user_id, sent.attempts) == (row["id"], "test", "7", 1)
    (mail,) = sink.mails
    assert mail["Message-ID"] == f"<{row['id']}@lab.example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == "A test from Lab"
    assert sink.envelopes[0].rcpt_tos == ["ann@example.com"]


@pytest.mark.anyio
@pytest.mark.parametrize("at", STAGES)
@pytest.mark.parametrize(
    "how", ["451 later", "550 never", "drop", "hang", "banana", "999 what?", "299 fine?", "\xff\x00"]
)
async def test_a_server_that_misbehaves_loses_nothing(sqlite_url, clock, at, how):
    """At each stage: refused for now, for good, broken off, hung, or answered nonsense. A good server gets it later.

    Only 5xx at RCPT and DATA is about the message, and final; the rest is tried again.
    """
    auth, events = None, []
    async with rogue_server(at, how) as (_, url):
        auth, events = installed(sqlite_url, url, clock=clock, mail=MailFeature(patience=SHORT))
        async with running(auth):
            await post(auth)
            done = await delivery(auth).all_due()
            (row,) = await rows(auth)
    if how == "299 fine?" and at in {"mail", "rcpt", "ehlo", "end", "connect", "data"} and done.sent:
        return  # some 2xx is a yes
    assert (done.sent, done.failed) == (0, 1)
    (failed,) = told(events, "MessageFailed")
    final = how.startswith("550") and at in {"rcpt", "data", "end"}
    assert failed.dead is final
    assert failed.reason == row["error"]
    assert row["sealed"] is not None
    assert row["claimed_by"] is None
    if final:
        assert row["dead_at"] == int(clock())
        return
    assert row["due_at"] > clock()
    clock.advance(60)
    async with mail_server() as (sink, url):
        auth, _ = installed(sqlite_url, url, clock=clock)
        async with running(auth):
            assert (await delivery(auth).all_due()).sent == 1
    assert sink.mails[0]["Message-ID"] == f"<{row['id']}@lab.example.com>"


@pytest.mark.anyio
async def test_nobody_there_is_tried_again_later_and_later(sqlite_url, clock):
    """Each pause is longer than the one before, up to two hours; after the last try the message is dead."""
    auth, events = installed(sqlite_url, "smtp://127.0.0.1:1", clock=clock)
    async with running(auth):
        await post(auth)
        pauses = []
        for _ in range(MOST_ATTEMPTS):
            await delivery(auth).all_due()
            (row,) = await rows(auth)
            pauses.append(row["due_at"] - int(clock()))
            clock.advance(max(0, min(pauses[-1], 9_000)))
        assert row["dead_at"] is not None
        assert row["sealed"] is not None
        assert [event.dead for event in told(events, "MessageFailed")] == [False] * (MOST_ATTEMPTS - 1) + [True]
        assert pauses[0] < 20
        assert 5_000 < pauses[-2] <= 8_640
        assert (await delivery(auth).all_due()).failed == 0


def test_pauses_differ():
    """Messages that failed together are not tried together: the pause is spread by a fifth to both sides."""
    pauses = {pause_after(5) for _ in range(200)}
    assert len(pauses) > 20
    assert min(pauses) >= 240 * 0.8
    assert max(pauses) <= 240 * 1.2


@pytest.mark.anyio
async def test_a_link_that_is_over_is_not_sent_late(database_url, clock):
    """Not after its end, nor is a try planned for after it; what it said is gone, at once or by the next tidying."""
    async with mail_server() as (sink, url):
        auth, events = installed(database_url, url, clock=clock)
        async with running(auth):
            ends = int(clock()) + 1800
            await post(auth, expires_at=ends)
            await post(auth, facts={"expires_at": ends})
            clock.advance(1800)
            await delivery(auth).all_due()
            assert [row["sealed"] for row in await rows(auth)] == [None, None]
            assert [row["error"] for row in await rows(auth)] == ["its time is over"] * 2
    assert sink.mails == []
    auth, events = installed(database_url, "smtp://127.0.0.1:1", clock=clock)
    async with running(auth):
        await post(auth, expires_at=int(clock()) + 5)
        await delivery(auth).all_due()
        (failed,) = told(events, "MessageFailed")
        assert failed.dead
        assert (await rows(auth))[-1]["sealed"] is not None
        clock.advance(6)
        await delivery(auth).tidy()
        assert (await rows(auth))[-1]["sealed"] is None


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_wrong_password_kills_no_message(sqlite_url, clock):
    """A refusal at AUTH is the operator's to mend, so every message waits for that."""

    def refuse(server, session, envelope, mechanism, data):
        from aiosmtpd.smtp import AuthResult

        return AuthResult(success=False, handled=False)

    async with mail_server(authenticator=refuse, auth_require_tls=False, auth_required=True) as (sink, url):
        host = url.removeprefix("smtp://")
        auth, events = installed(sqlite_url, f"smtp://lab:wrong@{host}", clock=clock)
        async with running(auth):
            for number in range(6):
                await post(auth, to=f"p{number}@example.com")
            await delivery(auth).all_due()
            found = await rows(auth)
    assert {row["dead_at"] for row in found} == {None}
    assert {event.reason for event in told(events, "MessageFailed")} == {"auth: 535"}
    assert sink.mails == []
    # Four lanes tried one each; the others were given back untried.
    assert sorted(row["attempts"] for row in found) == [0, 0, 1, 1, 1, 1]


@pytest.mark.anyio
async def test_two_processes_send_each_message_once(database_url):
    """Two installations on one database, at the same time: fifty messages, fifty mails, each of them once."""
    async with mail_server() as (sink, url):
        one, _ = installed(database_url, url)
        other, _ = installed(database_url, url)
        async with running(one), running(other):
            for number in range(50):
                await post(one, to=f"p{number}@example.com")
            done = await asyncio.gather(*(delivery(auth).all_due() for auth in (one, other, one, other)))
            assert sum(one.sent for one in done) == 50
            assert all(row["sent_at"] for row in await rows(one))
    assert sorted(mail["To"] for mail in sink.mails) == sorted(f"p{number}@example.com" for number in range(50))


@pytest.mark.anyio
async def test_a_claim_ends_and_the_message_is_another_s(database_url, clock):
    """Who died with a message loses it to the next; what the dead one notes afterwards changes nothing."""
    auth, _ = installed(database_url, "smtp://127.0.0.1:1", clock=clock)
    async with running(auth):
        await post(auth)
        (held,) = await claim(auth, "one")
        assert await claim(auth, "two") == []
        clock.advance(timedelta(minutes=3))
        (again,) = await claim(auth, "two")
        assert (again.id, again.attempts) == (held.id, 2)
        noted = statements.sent(int(clock()))
        assert not await auth.database.write(lambda tx: statements.settle(tx, held, noted))
        (row,) = await rows(auth)
        assert (row["sent_at"], row["claimed_by"]) == (None, "two")


async def claim(auth, by):
    """Take what is due for two minutes."""
    now = auth.context.now()
    return await auth.database.write(lambda tx: statements.claim(tx, by=by, now=now, until=now + 120, most=8))


@pytest.mark.anyio
async def test_a_message_survives_kill_9(database_url, clock):
    """A process is killed while it sends; the message stays, and is sent once its claim is over."""
    async with rogue_server("end", "hang") as (rogue, url):
        auth, _ = installed(database_url, url)
        async with running(auth):
            await post(auth)
        tests = str(Path(__file__).parents[2])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "features.mail.sending", database_url, url, env={**os.environ, "PYTHONPATH": tests}
        )
        async with asyncio.timeout(60):
            while not (rogue.connections and await _claimed(auth)):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.05)
        child.kill()
        assert await child.wait() == -signal.SIGKILL
    clock.advance(time.time() - clock() + 5)
    async with mail_server() as (sink, url):
        auth, _ = installed(database_url, url, clock=clock)
        async with running(auth):
            assert (await delivery(auth).all_due()).sent == 0
            clock.advance(timedelta(minutes=3))
            assert (await delivery(auth).all_due()).sent == 1
    assert len(sink.mails) == 1


async def _claimed(auth):
    async with running(auth):
        return [row for row in await rows(auth) if row["claimed_by"]]


@pytest.mark.anyio
async def test_a_message_of_a_transaction_that_failed_is_never_sent(database_url):
    """The row goes with the transaction, and nobody is told."""
    auth, events = installed(database_url, "console:")
    async with running(auth):
        with pytest.raises(ZeroDivisionError):
            await auth.database.write(lambda tx: (auth.context.post(tx, _message()), 1 / 0))
        assert await rows(auth) == []
        assert told(events, "MessagePosted") == []


def _message():
    from rimlock.core.messages import Message

    return Message(kind="test", to="ann@example.com")


@pytest.mark.anyio
async def test_what_was_sent_is_forgotten(database_url, clock):
    """After `mail_kept` the row is gone, of the dead as well; what waits stays."""
    async with mail_server() as (_, url):
        auth, _ = installed(database_url, url, clock=clock, mail_kept=timedelta(days=2))
        async with running(auth):
            await post(auth)
            await post(auth, kind="unknown")
            await delivery(auth).all_due()
            clock.advance(timedelta(days=2, seconds=1))
            await delivery(auth).tidy()
            (row,) = await rows(auth)
            assert row["kind"] == "unknown"
            assert row["error"] == "the kind is not known here"


@pytest.mark.anyio
async def test_nothing_told_of_a_message_says_to_whom(database_url, clock, caplog):
    """No event and no line of the log has the address, the name or the link, when it is sent and when it is not."""
    caplog.set_level(logging.DEBUG)
    secret = {"link": "https://lab.example.com/x?token=hush-hush"}
    async with rogue_server("rcpt", "550 <ann@example.com> is nobody here") as (_, bad):
        auth, events = installed(database_url, bad, clock=clock)
        async with running(auth):
            await post(auth, facts=secret)
            await delivery(auth).all_due()
    async with mail_server() as (_, good):
        auth, more = installed(database_url, good, clock=clock)
        async with running(auth):
            await post(auth, facts=secret)
            await delivery(auth).all_due()
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("rimlock"))
    everything = f"{events} {more} {ours} {[row['error'] for row in await _all(auth)]}"
    assert told(events, "MessageFailed")
    assert told(more, "MessageSent")
    assert "ann@example.com" not in everything
    assert "hush" not in everything


async def _all(auth):
    async with running(auth):
        return await rows(auth)


def test_an_event_of_a_message_needs_no_more_than_its_id():
    """What wakes the worker says which message, of what kind and for which user, and nothing else."""
    names = set(MessagePosted.__dataclass_fields__)
    assert names - {"told"} == {"at", "acting", "message_id", "kind", "user_id"}
