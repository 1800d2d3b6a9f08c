"""`rimlock mail`: a preview of everything, what waits and what is dead, trying again and trying out."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.smtp import SMTP

from rimlock import Rimlock
from rimlock.core.messages import Message
from rimlock.features.mail import mail_of

pytestmark = pytest.mark.req("F3")


class Sink:
    """What a mail server took."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append(message_from_bytes(envelope.original_content, policy=default))
        return "250 taken"


@contextmanager
def mail_server():
    """Run a mail server in a thread of its own: a command runs a loop of its own."""
    sink, loop, up, address = Sink(), asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        server = await loop.create_server(lambda: SMTP(sink, hostname="sink"), "127.0.0.1", 0)
        address.append(server.sockets[0].getsockname()[1])
        up.set()
        return server

    def run():
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(serve())
        loop.run_forever()
        server.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    up.wait(20)
    try:
        yield sink, f"smtp://127.0.0.1:{address[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def posted(terminal, *messages, fail=False):
    """Post messages, and with `fail` let the sending of them fail for good."""

    async def work():
        auth = Rimlock.from_env({**terminal.environment, "RIMLOCK_MAIL_URL": "console:"})
        await auth.start()
        for message in messages:
            await auth.database.write(lambda tx, message=message: auth.context.post(tx, message))
        if fail:
            await mail_of(auth).delivery.all_due()
        await auth.stop()

    asyncio.run(work())


ANN = Message(kind="test", to="ann@example.com")
NOBODY = Message(kind="test", to="ann,bob@example.com")


def test_a_preview_of_every_mail_in_every_language(lone_terminal, tmp_path):
    """Files for a browser and for a mail program, and a page that lists them; no database and no secret is made."""
    outcome = lone_terminal("mail", "preview", "seen", RIMLOCK_MAIL_FROM="Lab <lab@lab.example.com>")
    assert outcome.code == 0, outcome.err
    index = (tmp_path / "seen" / "index.html").read_text()
    for locale in ("en", "de", "es", "fr", "ja"):
        for ending in ("html", "txt", "eml"):
            assert (tmp_path / "seen" / f"test.{locale}.{ending}").stat().st_size
            assert f'href="test.{locale}.{ending}"' in index
        mail = message_from_bytes((tmp_path / "seen" / f"test.{locale}.eml").read_bytes(), policy=default)
        assert "Lab" in mail["Subject"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seen"]


def test_every_kind_there_is_can_be_written(lone_terminal, tmp_path):
    """In the five languages that come with it, with the facts of its example, as text and as a page."""
    assert lone_terminal("mail", "preview", "seen").code == 0
    auth = Rimlock.from_env({"DATABASE_URL": f"sqlite:///{tmp_path}/x.db"})
    for kind in auth.context.kinds().values():
        found = {path.name for path in (tmp_path / "seen").glob(f"{kind.name}.*")}
        wanted = {
            f"{kind.name}.{locale}.{ending}"
            for locale in ("en", "de", "es", "fr", "ja")
            for ending in ("html", "txt", "eml")
        }
        assert found >= wanted, f"{kind.name} lacks {sorted(wanted - found)}"


def test_a_preview_says_which_template_is_wrong(lone_terminal, tmp_path):
    """By its name, with the reason, and with an exit code for CI."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "test.de.txt").write_text("{{ nobody }}")
    outcome = lone_terminal("mail", "preview", "seen", RIMLOCK_MAIL_TEMPLATES=str(tmp_path / "own"))
    assert outcome.code == 1
    assert "test.de cannot be written: template: UndefinedError: 'nobody' is undefined" in outcome.out


def test_what_waits_and_what_is_dead(terminal):
    """By id, kind and reason; never to whom."""
    assert "no message waits" in terminal("mail", "list").out
    posted(terminal, NOBODY, fail=True)
    posted(terminal, ANN)
    items = terminal("mail", "list", "--json").json["items"]
    assert sorted((one["state"], one["attempts"]) for one in items) == [("dead", 1), ("waits", 0)]
    assert len(terminal("mail", "list", "--dead", "--json").json["items"]) == 1
    assert "DUE AT" in terminal("mail", "list").out
    assert "ann" not in terminal.shown


def test_a_dead_message_is_tried_again(terminal):
    """By its id or with all others; one that is not there is said to be so."""
    posted(terminal, NOBODY, NOBODY, fail=True)
    first = terminal("mail", "list", "--json").json["items"][0]["id"]
    assert terminal("mail", "retry", first).out == "1 are tried again\n"
    assert terminal("mail", "retry", first).code == 1
    assert terminal("mail", "retry", "--all").out == "1 are tried again\n"
    assert terminal("mail", "retry").code == 1
    assert terminal("mail", "retry", first, "--all").code == 1
    states = [(one["state"], one["attempts"]) for one in terminal("mail", "list", "--json").json["items"]]
    assert states == [("waits", 0), ("waits", 0)]


def test_what_is_due_is_sent_by_a_command(terminal):
    """For a timer, where no server runs; with what became of it, and an exit code."""
    posted(terminal, ANN)
    with mail_server() as (sink, url):
        assert terminal("mail", "send", RIMLOCK_MAIL_URL=url).out == "1 sent, 0 not\n"
        assert terminal("mail", "send", RIMLOCK_MAIL_URL=url).out == "0 sent, 0 not\n"
    assert [mail["To"] for mail in sink.mails] == ["ann@example.com"]
    posted(terminal, ANN)
    failed = terminal("mail", "send", RIMLOCK_MAIL_URL="smtp://127.0.0.1:1")
    assert (failed.code, failed.out) == (1, "0 sent, 1 not\n")
    assert "none:" in terminal("mail", "send", RIMLOCK_MAIL_URL="none:").err


def test_trying_out_says_what_the_server_answers(terminal):
    """Taken, or not and why; nothing stays in the outbox."""
    with mail_server() as (sink, url):
        outcome = terminal("mail", "test", "ann@example.com", RIMLOCK_MAIL_URL=url)
        assert (outcome.code, outcome.out) == (0, "it was taken; see whether it arrives\n")
    assert sink.mails[0]["Auto-Submitted"] == "auto-generated"
    failed = terminal("mail", "test", "ann@example.com", RIMLOCK_MAIL_URL="smtp://u:hush@127.0.0.1:1")
    assert failed.code == 1
    assert "connect" in failed.err
    assert "hush" not in failed.err
    assert terminal("mail", "test", "nobody", RIMLOCK_MAIL_URL="console:").code == 1
    assert terminal("mail", "list", "--json").json["items"] == []


def finding(terminal, name, **environment):
    """Return what doctor says of one thing."""
    (found,) = [one for one in terminal("doctor", "--json", **environment).json["items"] if one["name"] == name]
    return found["state"], found["text"]


def test_doctor_looks_at_the_mails(terminal):
    """A terminal where people wait for mails, a sender nobody believes, what is dead; none of it shows a secret."""
    public = {"RIMLOCK_ISSUER": "https://lab.example.com"}
    assert finding(terminal, "mails", **public) == ("warn", "they go to standard output")
    real = {**public, "RIMLOCK_MAIL_URL": "smtp://lab:hush@mail.example.com"}
    assert finding(terminal, "mails", **real) == ("ok", "smtp, by STARTTLS")
    assert finding(terminal, "mail sender", **real)[0] == "warn"
    assert finding(terminal, "mails", **real, RIMLOCK_INSECURE_SMTP="1") == ("ok", "smtp, without TLS")
    assert "insecure_smtp is on" in terminal("doctor", **real, RIMLOCK_INSECURE_SMTP="1").out
    posted(terminal, NOBODY, fail=True)
    assert finding(terminal, "outbox") == ("warn", "1 messages could not be sent")
    assert "hush" not in terminal.shown
