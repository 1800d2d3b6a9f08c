"""The ways out: a mail server with and without TLS, SendGrid, the terminal, a folder; and settings that are wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default

import pytest

from features.mail.post_office import SECRET, installed, mail_server, post, rogue_server, rows, running, told
from rimlock import ConfigurationError, Rimlock, Settings
from rimlock.core.mail_url import Sender, mail_route
from rimlock.core.messages import Message
from rimlock.features.mail import MailFeature, mail_of
from rimlock.features.mail.errors import NotSent
from rimlock.features.mail.logic.composing import composed
from rimlock.features.mail.logic.writing import Letter
from rimlock.features.mail.outward.smtp import Smtp

pytestmark = pytest.mark.req("F3")
LETTER = Letter(kind="test", locale="en", subject="S", text=".begins with a dot\n\n.\nend\n", html=None)


def a_mail(to="ann@example.com"):
    """Return a mail."""
    return composed(LETTER, to=to, message_id="2" * 32, sender=Sender("", "lab@lab.example.com"), at=1_800_000_000)


def certificate(folder):
    """Make a certificate for localhost that signs itself; return the server's context and the file to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


def demanding(url):
    """Return the route to a server of this machine as if it were another: STARTTLS is needed."""
    return replace(mail_route(url.replace("127.0.0.1", "localhost")), tls="starttls")


@pytest.mark.anyio
async def test_one_connection_carries_several_mails_letter_for_letter():
    """Lines that begin with a dot arrive as they are, and the second mail needs no second greeting."""
    async with mail_server() as (sink, url):
        lane = Smtp(mail_route(url), patience=5).lane()
        await lane.send(a_mail())
        await lane.send(a_mail("bob@example.com"))
        await lane.close()
    assert [mail["To"] for mail in sink.mails] == ["ann@example.com", "bob@example.com"]
    assert sink.mails[0].get_content().replace("\r\n", "\n") == LETTER.text


@pytest.mark.anyio
async def test_starttls_is_used_and_the_certificate_looked_at(tmp_path, monkeypatch):
    """With a certificate that is trusted the mail goes through TLS; with one that is not, it does not go at all."""
    context, trusted = certificate(tmp_path)
    async with mail_server(tls_context=context, require_starttls=True) as (sink, url):
        with pytest.raises(NotSent, match="starttls"):
            await Smtp(demanding(url), patience=5).lane().send(a_mail())
        assert sink.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        lane = Smtp(demanding(url), patience=5).lane()
        await lane.send(a_mail())
        await lane.close()
    assert len(sink.mails) == 1


@pytest.mark.attack("STARTTLS taken out of the answer")
@pytest.mark.anyio
async def test_without_starttls_nothing_leaves():
    """A server, or who stands before it, that offers no TLS gets neither the password nor the mail."""
    async with rogue_server("nowhere", "") as (rogue, url):
        route = replace(demanding(url), user="lab", password="hush")
        with pytest.raises(NotSent, match="starttls") as failed:
            await Smtp(route, patience=5).lane().send(a_mail())
    assert rogue.taken == []
    assert failed.value.broken
    assert "hush" not in f"{failed.value!r}{route!r}"


@pytest.mark.anyio
async def test_an_address_with_other_letters_needs_a_server_that_takes_them():
    """With SMTPUTF8 it arrives; without, the message is dead at once, for no other try would fare better."""
    async with mail_server() as (sink, url):
        lane = Smtp(mail_route(url), patience=5).lane()
        await lane.send(a_mail("jörg@example.com"))
        await lane.close()
        assert sink.envelopes[0].rcpt_tos == ["jörg@example.com"]
    async with mail_server(enable_SMTPUTF8=False) as (sink, url):
        with pytest.raises(NotSent) as failed:
            await Smtp(mail_route(url), patience=5).lane().send(a_mail("jörg@example.com"))
    assert failed.value.permanent


class SendGridStub:
    """SendGrid's interface as far as it is used: writes down what comes and answers what it is told."""

    def __init__(self, status):
        self.status, self.requests = status, []

    async def __call__(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
                )
                self.requests.append((head.decode(), json.loads(await reader.readexactly(length))))
                if self.status is None:
                    return
                writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "became"),
    [
        (202, "sent"),
        (400, "dead"),
        (413, "dead"),
        *((status, "waiting") for status in (200, 302, 401, 403, 429, 500, None)),
    ],
)
async def test_sendgrid(sqlite_url, clock, status, became):
    """202 is a yes. What it says of this mail is final; of the account, the load or itself, it is tried again."""
    stub = SendGridStub(status)
    server = await asyncio.start_server(stub, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    auth, events = installed(sqlite_url, f"sendgrid://SG.kEy.VALUE@127.0.0.1:{port}", clock=clock)
    async with running(auth):
        await post(auth)
        await mail_of(auth).delivery.all_due()
        (row,) = await rows(auth)
    server.close()
    found = "sent" if row["sent_at"] else "dead" if row["dead_at"] else "waiting"
    assert found == became
    head, body = stub.requests[0]
    assert head.startswith("POST /v3/mail/send HTTP/1.1\r\n")
    assert "SG.kEy.VALUE" in head
    assert "SG.kEy" not in f"{events}{row}{auth.settings}"
    assert body["personalizations"] == [{"to": [{"email": "ann@example.com"}]}]
    assert body["from"] == {"email": "lab@lab.example.com", "name": "Lab"}
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert body["headers"]["Message-ID"] == f"<{row['id']}@lab.example.com>"
    assert not body["tracking_settings"]["click_tracking"]["enable"]


@pytest.mark.anyio
async def test_the_console_shows_mails_and_no_log_does(sqlite_url, capsys, caplog):
    """On standard output, for development: address, subject, text and link."""
    caplog.set_level(logging.DEBUG)
    auth, _ = installed(sqlite_url, "console:")
    async with running(auth):
        await post(auth)
        await mail_of(auth).delivery.all_due()
    shown = capsys.readouterr().out
    assert "To: ann@example.com\nSubject: A test from Lab\n" in shown
    assert "You need not do anything." in shown
    assert "ann@example.com" not in caplog.text


@pytest.mark.anyio
async def test_a_folder_holds_mails_that_a_mail_program_opens(sqlite_url, tmp_path):
    """One file each, whole, for its owner alone; a folder that cannot be written to loses nothing."""
    folder = tmp_path / "mails"
    auth, _ = installed(sqlite_url, f"file:{folder}")
    async with running(auth):
        await post(auth)
        await mail_of(auth).delivery.all_due()
        (row,) = await rows(auth)
    (file,) = folder.iterdir()
    assert file.name == f"{row['id']}-test.eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert (mail["To"], mail["Subject"]) == ("ann@example.com", "A test from Lab")
    blocked = tmp_path / "file"
    blocked.write_text("")
    auth, events = installed(sqlite_url, f"file:{blocked}")
    async with running(auth):
        await post(auth)
        await mail_of(auth).delivery.all_due()
        assert (await rows(auth))[-1]["dead_at"] is None
        assert told(events, "MessageFailed")


@pytest.mark.anyio
async def test_none_leaves_messages_to_another_process(sqlite_url):
    """They stay in the outbox, and nothing sends here."""
    auth, _ = installed(sqlite_url, "none:")
    async with running(auth):
        await post(auth)
        assert mail_of(auth).delivery is None
        assert (await rows(auth))[0]["sealed"] is not None


@pytest.mark.anyio
async def test_a_way_out_of_the_host_s_own(sqlite_url, clock):
    """A host may send by whatever it has; what that raises is noted by its name, and tried again."""

    class Pigeons:
        def __init__(self):
            self.sent = []

        def lane(self):
            return self

        async def send(self, mail):
            if mail.to.startswith("far"):
                raise RuntimeError("lost over far@example.com")
            self.sent.append((mail.to, mail.letter.subject))

        async def close(self):
            pass

    pigeons = Pigeons()
    auth, events = installed(sqlite_url, "none:", clock=clock, mail=MailFeature(transport=pigeons))
    async with running(auth):
        await post(auth)
        await post(auth, to="far@example.com")
        await mail_of(auth).delivery.all_due()
    assert pigeons.sent == [("ann@example.com", "A test from Lab")]
    assert [event.reason for event in told(events, "MessageFailed")] == ["RuntimeError"]


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("mail.example.com", "smtp://"),
        ("http://mail.example.com", "smtp://"),
        ("smtp://", "smtp://"),
        ("smtp://lab:hush@mail.example.com:99999", "smtp://"),
        ("smtp://lab:hush#1@mail.example.com", "%23"),
        ("smtp://lab:hush@mail.example.com/inbox", "%2F"),
        ("smtp://lab@mail.example.com", "password"),
        ("smtp://lab:hush@mail.example.com?starttls=no", "smtp://"),
        ("sendgrid://", "KEY"),
        ("sendgrid://hush@", "KEY"),
        ("file:", "folder"),
        ("console", "console:"),
        ("none", "none:"),
        ("", "smtp://"),
    ],
)
def test_a_wrong_mail_url_is_refused_when_it_is_read(url, mend):
    """With what to write instead, and without the password."""
    with pytest.raises(ConfigurationError, match=mend) as refused:
        Settings(secrets=[SECRET], mail_url=url)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "Lab",
        "Lab <lab>",
        "a@example.com, b@example.com",
        "Lab\r\nBcc: x@example.com <lab@example.com>",
        "Lab <lab@example.com> more",
        "lab@example.com\n",
        "lab@-.com",
    ],
)
def test_a_wrong_sender_is_refused(sender):
    """One address, with or without a name."""
    with pytest.raises(ConfigurationError, match="mail_from"):
        Settings(secrets=[SECRET], mail_from=sender)


@pytest.mark.parametrize(
    ("url", "tls", "port"),
    [
        ("smtp://mail.example.com", "starttls", 587),
        ("smtp://u:p%40%2F@mail.example.com:25", "starttls", 25),
        ("smtps://mail.example.com", "implicit", 465),
        ("smtps://localhost:4650", "implicit", 4650),
        ("smtp://localhost:1025", "none", 1025),
        ("smtp://127.0.0.1", "none", 587),
        ("smtp://[::1]:25", "none", 25),
        ("smtp://10.0.0.1", "starttls", 587),
        ("smtp://localhost.example.com", "starttls", 587),
    ],
)
def test_tls_is_needed_but_on_this_machine(url, tls, port):
    """Only the loopback goes without, unless `insecure_smtp` says so."""
    route = mail_route(url)
    assert (route.tls, route.port) == (tls, port)
    assert mail_route(url, insecure=True).tls == ("implicit" if tls == "implicit" else "none")


def test_a_missing_library_is_missed_at_construction(monkeypatch, sqlite_url):
    """With what to install, before the first mail is due."""
    monkeypatch.setattr("rimlock.features.mail.outward.choosing.find_spec", lambda name: None)
    for url, library in (("smtp://localhost", "aiosmtplib"), ("sendgrid://KEY", "httpx2")):
        with pytest.raises(ConfigurationError, match=f"{library}; install rimlock\\[mail\\]"):
            Rimlock(Settings(secrets=[SECRET], database=sqlite_url, mail_url=url))


def test_a_message_shows_neither_address_nor_facts():
    """What is printed of one, by whoever, is its kind."""
    message = Message(kind="test", to="ann@example.com", facts={"link": "https://x.example/hush"})
    assert "ann" not in repr(message)
    assert "hush" not in repr(message)
    assert "ann" not in repr(a_mail())
