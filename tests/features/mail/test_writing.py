"""What a mail says: in which language, by whose templates, and never more than was meant."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.mail.post_office import GREETING
from rimlock.core.mail_url import Sender
from rimlock.core.messages import Message, MessageKind
from rimlock.features.mail.errors import Unwritable
from rimlock.features.mail.logic.composing import composed
from rimlock.features.mail.logic.writing import Writer
from rimlock.features.mail.messages import TEST

pytestmark = pytest.mark.req("F3")
LINK = "https://lab.example.com/verify?token=abc&x=1"
LAB = Sender("Lab", "lab@lab.example.com")


def writer(folder=None, locale="en", kinds=(TEST, GREETING)):
    """Return what writes the letters of a small installation."""
    return Writer(lambda: {kind.name: kind for kind in kinds}, product="Lab & Co", locale=locale, folder=folder)


def greeting(name="Ann", locale=None, **others):
    """Return a message of somebody else's kind."""
    return Message(kind="greeting", to="ann@example.com", facts={"name": name, "link": LINK, **others}, locale=locale)


def mailed(letter, to="ann@example.com", sender=LAB):
    """Return a letter as a mail program reads it."""
    mail = composed(letter, to=to, message_id="0" * 32, sender=sender, at=1_800_000_000)
    return message_from_bytes(mail.content.as_bytes(), policy=default)


class Tags(HTMLParser):
    """The elements of a page and where its links lead."""

    def __init__(self, page):
        super().__init__()
        self.names, self.links = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]


@pytest.mark.parametrize(
    ("asked", "of_the_user", "installation", "got"),
    [
        ("de-AT", None, "en", "de"),
        ("de", "en", "en", "de"),
        (None, "de-CH", "en", "de"),
        ("ja", None, "de", "de"),
        ("ja", None, "fr", "en"),
        (None, None, "en", "en"),
        ("../../etc/passwd", None, "en", "en"),
        ("", "", "en", "en"),
    ],
)
def test_the_language_falls_back(asked, of_the_user, installation, got):
    """What was asked for, the user's, the installation's, English: each shortened before the next is tried."""
    letter = writer(locale=installation).write(greeting(locale=asked), of_the_user)
    assert letter.locale == got
    assert letter.subject.startswith({"de": "Ein Gruß", "en": "A greeting"}[got])


def test_the_host_s_templates_go_before_ours(tmp_path):
    """File by file: another subject, another language, another layout; what the host has not is ours."""
    (tmp_path / "greeting.en.subject").write_text("Hi {{ name }}")
    (tmp_path / "greeting.it.subject").write_text("Ciao {{ name }}")
    (tmp_path / "greeting.it.txt").write_text("Ciao. {{ link }}")
    (tmp_path / "layout.html").write_text("<html><body class=ours>{{ content }}</body></html>")
    own = writer(tmp_path)
    assert own.write(greeting()).subject == "Hi Ann"
    assert "Hello Ann," in own.write(greeting()).text
    assert "class=ours><h1>Hello Ann</h1>" in own.write(greeting()).html
    italian = own.write(greeting(locale="it-CH"))
    assert (italian.locale, italian.subject, italian.html) == ("it", "Ciao Ann", None)
    assert own.languages(GREETING) == ["de", "en", "it"]


def test_a_template_that_is_changed_is_read_again(tmp_path):
    """Who writes a template sees the change in the next mail."""
    own = writer(tmp_path)
    (tmp_path / "greeting.en.subject").write_text("One")
    assert own.write(greeting()).subject == "One"
    (tmp_path / "greeting.en.subject").write_text("Two")
    assert own.write(greeting()).subject == "Two"


def test_a_whole_page_stays_as_it_is(tmp_path):
    """A template with an `html` element of its own gets no layout around it."""
    (tmp_path / "greeting.en.html").write_text("<!doctype html><html><body>{{ name }}</body></html>")
    assert writer(tmp_path).write(greeting("<b>")).html == "<!doctype html><html><body>&lt;b&gt;</body></html>"


@pytest.mark.attack("template injection by a name")
@pytest.mark.asvs("1.2.1", "1.3.7")
@pytest.mark.parametrize("name", ['"><img src=x onerror=alert(1)>', "{{7*7}}", "{% raw %}", "{x.__class__}", "<!--"])
def test_a_name_is_text_and_nothing_else(name):
    """In the page no element and no link more; in the text the name, letter for letter."""
    plain, hostile = writer().write(greeting()), writer().write(greeting(name))
    assert Tags(hostile.html).names == Tags(plain.html).names
    assert Tags(hostile.html).links == Tags(plain.html).links
    assert f"Hello {name}," in hostile.text
    assert mailed(hostile)["Subject"] == f"A greeting for {name}"


@pytest.mark.attack("header injection")
@pytest.mark.asvs("1.3.11")
@given(st.text(max_size=300))
def test_no_name_begins_a_header_or_a_line(name):
    """Whatever the name, the mail has the headers it has, one recipient, and as many lines of text."""
    plain = mailed(writer().write(greeting()))
    mail = mailed(writer().write(greeting(name)))
    assert mail.keys() == plain.keys()
    assert mail["To"].addresses[0].addr_spec == "ann@example.com"
    text, wanted = (one.get_body(("plain",)).get_content() for one in (mail, plain))
    assert text.count("\n") == wanted.count("\n")


@pytest.mark.attack("header injection")
@pytest.mark.parametrize(
    "to",
    [
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com,eve@example.com",
        "ann@example.com, <eve@example.com>",
        "Ann <ann@example.com>",
        '"ann eve"@example.com',
        "ann@example.com\x00",
        "ann@example.com\u2028Bcc: eve@example.com",
        "<ann@example.com>",
        "ann",
        "ann@[127.0.0.1]",
        "ann@exam ple.com",
    ],
)
def test_only_one_plain_address_is_written_to(to):
    """A list, a name, a quoted part or a control character is nobody's address."""
    with pytest.raises(Unwritable):
        mailed(writer().write(greeting()), to=to)


def test_other_letters_in_addresses():
    """A domain becomes ASCII, and any server takes it; a name that is not needs one with SMTPUTF8."""
    letter = writer().write(greeting(name="Jörg 山田"))
    mail = composed(letter, to="ann@münchen.example", message_id="1" * 32, sender=LAB, at=1_800_000_000)
    assert mail.to == "ann@xn--mnchen-3ya.example"
    assert not mail.needs_utf8
    assert mail.content.as_bytes().isascii()
    assert mailed(letter, to="ann@münchen.example")["Subject"] == "A greeting for Jörg 山田"
    mail = composed(letter, to="jörg@münchen.example", message_id="1" * 32, sender=LAB, at=1_800_000_000)
    assert mail.needs_utf8
    assert "To: jörg@xn--mnchen-3ya.example\r\n".encode() in mail.content.as_bytes()


def test_what_every_mail_has():
    """Text and HTML, who it is from, that a program wrote it, and an id that stays the same."""
    mail = mailed(writer().write(greeting(locale="de")), sender=Sender('La"b, Ä', "lab@lab.example.com"))
    assert mail["From"].addresses[0].display_name == 'La"b, Ä'
    assert mail["Message-ID"] == f"<{'0' * 32}@lab.example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "de"
    assert mail["Date"].datetime.timestamp() == 1_800_000_000
    assert mail.get_content_type() == "multipart/alternative"
    assert LINK in mail.get_body(("plain",)).get_content()
    page = mail.get_body(("html",)).get_content()
    assert Tags(page).links == [LINK, LINK]
    assert not {"img", "script", "link", "iframe", "form", "object"} & set(Tags(page).names)
    assert 'lang="de"' in page
    assert "Lab &amp; Co" in page


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ nmae }}", "UndefinedError"),
        ("{{ name.__class__.__mro__ }}", "SecurityError"),
        ("{{ ''.__class__ }}", "SecurityError"),
        ("{% include '../../secret.txt' %}", "TemplateNotFound"),
        ("{{ name", "TemplateSyntaxError"),
        ("{{ button('javascript:alert(1)', 'x') }}", "ValueError"),
        ("{% for x in range(99999999) %}{{ x }}{% endfor %}", "UndefinedError"),
    ],
)
def test_a_template_can_do_nothing_but_say_it(tmp_path, template, why):
    """A fact that is left out, a way out of the sandbox, a script in a button: no mail, and the reason by its name."""
    (tmp_path / "greeting.en.html").write_text(template)
    with pytest.raises(Unwritable, match=why):
        writer(tmp_path).write(greeting())


def test_a_kind_without_templates_is_said_to_be_so():
    """Neither is guessed, nor sent empty."""
    orphan = MessageKind(name="orphan", package="features.mail.kinds", example={})
    with pytest.raises(Unwritable, match="no template"):
        writer(kinds=(orphan,)).write(Message(kind="orphan", to="ann@example.com"))
    with pytest.raises(Unwritable, match="not known"):
        writer().write(Message(kind="nothing", to="ann@example.com"))
