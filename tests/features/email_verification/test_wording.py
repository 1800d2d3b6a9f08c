"""What the mails of both features say: in five languages, with the link, and with nobody's words but ours."""

from __future__ import annotations

import pytest

from rimlock.core.messages import Message
from rimlock.features.email_verification.messages import KINDS as ADDRESSES
from rimlock.features.email_verification.messages import TEXTS as ADDRESS_TEXTS
from rimlock.features.mail.logic.writing import Writer
from rimlock.features.password_recovery.messages import KINDS as RECOVERY
from rimlock.features.password_recovery.messages import TEXTS as RECOVERY_TEXTS

pytestmark = pytest.mark.req("F3")
KINDS = {kind.name: kind for kind in (*ADDRESSES, *RECOVERY)}
LANGUAGES = ["de", "en", "es", "fr", "ja"]


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_mail_is_written_in_every_language(name, locale):
    """Subject, text and page are there, name the product, and hold the link and how long it is good."""
    writer = Writer(lambda: KINDS, product="Lab <&> Co", locale="en")
    kind = KINDS[name]
    letter = writer.write(Message(kind=name, to="ann@example.com", facts=kind.example), locale)
    assert letter.locale == locale
    assert writer.languages(kind) == LANGUAGES
    assert ("Lab <&> Co" in letter.subject, "Lab <&> Co" in letter.text) == (True, True)
    assert "Lab &lt;&amp;&gt; Co" in letter.html
    for fact in kind.example.values():
        assert str(fact) in letter.text
        assert str(fact) in letter.html
    assert "{{" not in letter.subject + letter.text + letter.html


@pytest.mark.parametrize("locale", LANGUAGES)
def test_a_reset_that_leaves_nothing_says_so(locale):
    """Without keys and logins elsewhere, no number is shown."""
    writer = Writer(lambda: KINDS, product="Lab", locale="en")
    message = Message(kind="password_reset", to="ann@example.com", facts={"keys": 0, "logins": 0})
    assert "0" not in writer.write(message, locale).text


def test_the_pages_say_the_same_in_every_language():
    """No language lacks a sentence."""
    for texts in (ADDRESS_TEXTS, RECOVERY_TEXTS):
        assert sorted(texts) == LANGUAGES
        assert len({frozenset(sentences) for sentences in texts.values()}) == 1
