"""The mails of registration: to who is invited, and to who was let in."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from features.admin.staff import GOOD, administrator, staffed
from rimlock.core.messages import Message
from rimlock.features.invitations.messages import KINDS
from rimlock.features.mail.logic.writing import Writer
from rimlock.testing import Outbox

pytestmark = pytest.mark.req("N7")
ANN = {"email": "ann@example.com", "password": GOOD}
PAGES = "https://app.example.com"


def opened(url, **settings):
    """Return an application, its Rimlock and what it mails."""
    app, auth, _ = staffed(url, mail_url="none:", **{"frontend_url": PAGES, **settings})
    return app, auth, Outbox(auth)


@pytest.mark.parametrize("place", ["/auth/admin/invitations", "/auth/admin/users"])
def test_who_is_invited_gets_the_code(database_url, place):
    """By either route: the code, a link to the front end, and until when; with it, and only with it, one registers."""
    app, auth, outbox = opened(database_url, registration="invitation")
    with TestClient(app) as client:
        admin = administrator(auth, client).headers
        body = {"email": "Ann@Example.com"} | ({"by": "invitation"} if place.endswith("users") else {})
        assert client.post(place, json=body, headers=admin).status_code == 201
        (mail,) = outbox.to("Ann@example.com", "invitation")
        code = mail.facts["code"]
        assert mail.facts["link"] == f"{PAGES}/register?invitation={code}"
        assert mail.expires_at is not None
        assert client.post("/auth/register", json=ANN).status_code == 403
        assert client.post("/auth/register", json={**ANN, "invitation": code}).status_code == 201


def test_an_invitation_for_whoever_has_the_code_is_not_mailed(sqlite_url):
    """Nobody is named, so nobody is written to; without pages of one's own there is a code and no link."""
    app, auth, outbox = opened(sqlite_url, frontend_url="")
    with TestClient(app) as client:
        admin = administrator(auth, client).headers
        client.post("/auth/admin/invitations", json={"seats": 5}, headers=admin)
        assert not outbox.messages
        client.post("/auth/admin/invitations", json={"email": "ann@example.com"}, headers=admin)
        assert outbox.last("ann@example.com", "invitation").facts["link"] == ""


def test_a_refused_invitation_is_not_mailed(sqlite_url):
    """Where no code lets anybody register, nobody is told of one."""
    app, auth, outbox = opened(sqlite_url, registration="closed")
    with TestClient(app) as client:
        admin = administrator(auth, client).headers
        refused = client.post("/auth/admin/invitations", json={"email": "ann@example.com"}, headers=admin)
        assert refused.status_code == 403
    assert not outbox.messages


def test_who_waited_is_told(database_url):
    """Once, when an administrator lets them in, in their own language."""
    app, auth, outbox = opened(database_url, registration="approval")
    with TestClient(app) as client:
        admin = administrator(auth, client).headers
        user_id = client.post("/auth/register", json=ANN, headers={"Accept-Language": "ja"}).json()["id"]
        assert not outbox.to("ann@example.com", "approved")
        place = f"/auth/admin/users/{user_id}/approve"
        assert client.post(place, headers=admin).status_code == 200
        assert client.post(place, headers=admin).status_code == 404
        (mail,) = outbox.to("ann@example.com", "approved")
        assert (mail.facts["link"], mail.locale, mail.user_id) == (f"{PAGES}/login", "ja", user_id)


@pytest.mark.parametrize("locale", ["en", "de", "es", "fr", "ja"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("linked", [True, False])
def test_every_language_says_all_of_it(kind, locale, linked):
    """With and without a page to go to: subject, text and HTML, each with the facts there are."""
    writer = Writer(lambda: {one.name: one for one in KINDS}, product="Lab", locale="en")
    facts = dict(kind.example) if linked else {**kind.example, "link": ""}
    letter = writer.write(Message(kind=kind.name, to="ann@example.com", facts=facts, locale=locale))
    assert letter.locale == locale
    assert "Lab" in letter.subject
    for text in (letter.text, letter.html):
        assert all(str(fact) in text for fact in facts.values())
    assert ('class="button"' in letter.html) == linked
