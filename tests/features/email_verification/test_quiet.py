"""Asking for links: the same for everybody, whatever is done, and a mailbox that is not flooded."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from features.email_verification.postbox import ANN, CALM, GOOD, at_once, change, counted, kinds, posted, token_of
from rimlock.core import accounts
from rimlock.core.schema import account, outbox

pytestmark = [pytest.mark.req("F1"), pytest.mark.asvs("V6.3.8")]
ASKING = ["/auth/verify-email/request", "/auth/forgot-password"]


def several(client, auth):
    """Make an account of each standing; return the address of each, and one that nobody has."""
    now = auth.context.now()
    ids = {}
    for name in ("open", "proven", "disabled", "waiting", "temporary"):
        sent = {"email": f"{name}@example.com", "password": GOOD}
        ids[name] = client.post("/auth/register", json=sent).json()["id"]

    def work(tx):
        accounts.set_verified(tx, ids["proven"], verified=True, now=now)
        accounts.set_active(tx, ids["disabled"], active=False, now=now)
        accounts.set_password_hash(tx, ids["temporary"], "x", now=now, must_change=True, expires_at=now + 60)
        tx.change(update(account).where(account.c.user_id == ids["waiting"]).values(waiting=True))

    change(client, auth, work)
    return [*(f"{name}@example.com" for name in ids), "nobody@example.com"]


@pytest.mark.attack("enumeration by answer, by work and by what is left behind")
@pytest.mark.parametrize("path", ASKING)
def test_whoever_is_asked_about_the_same_happens(database_url, path):
    """Open, proven, disabled, waiting or no account: one answer, so many statements, so many rows of each table."""
    app, auth, _, box = posted(database_url, **CALM)
    with TestClient(app) as client:
        addresses = several(client, auth)
        box.clear()
        client.post(path, json={"email": "warm@example.com"})
        seen = {}
        for email in addresses:
            rows, before = counted(client, auth), auth.database.executed
            answer = client.post(path, json={"email": email})
            statements = auth.database.executed - before
            more = tuple(after - old for after, old in zip(counted(client, auth), rows, strict=True))
            headers = sorted((name, value) for name, value in answer.headers.items() if name != "date")
            seen[email] = (answer.status_code, answer.content, headers, statements, more)
    assert len({repr(one) for one in seen.values()}) == 1, seen
    assert next(iter(seen.values()))[0] == 202
    mailed = {address for _, address in kinds(box)}
    resets = {"open@example.com", "proven@example.com", "temporary@example.com"}
    assert mailed == (resets if "forgot" in path else {"open@example.com", "temporary@example.com"})


@pytest.mark.parametrize("path", ASKING)
def test_what_is_done_for_nobody_is_never_sent(database_url, path):
    """The row that is written in vain holds no message, counts as over, and names nobody."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post(path, json={"email": "nobody@example.com"})
        rows = client.portal.call(auth.database.read, lambda tx: [dict(one) for one in tx.all(select(outbox))])
    assert [(row["sealed"], row["user_id"], row["sent_at"] is not None) for row in rows] == [(None, None, True)]
    assert box.messages == []


@pytest.mark.attack("flooding a mailbox")
@pytest.mark.parametrize("path", ASKING)
def test_a_mailbox_gets_five_links_an_hour(database_url, clock, path):
    """What is asked for beyond that is answered the same and does the same work; the last link stays good."""
    app, auth, _, box = posted(database_url, clock=clock, **CALM)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        clock.advance(3600)
        box.clear()
        work = []
        for _ in range(12):
            before = auth.database.executed
            assert client.post(path, json={"email": ANN["email"]}).status_code == 202
            work.append(auth.database.executed - before)
        assert len(box.messages) == 5
        assert len(set(work[1:])) == 1
        page = "/auth/verify-email" if "verify" in path else "/auth/reset-password"
        assert client.get(page, params={"token": token_of(box)}).status_code == 200
        clock.advance(1799)
        assert client.get(page, params={"token": token_of(box)}).status_code == 200
        clock.advance(1800)
        client.post(path, json={"email": ANN["email"]})
        assert len(box.messages) == 5
        clock.advance(1)
        client.post(path, json={"email": ANN["email"]})
    assert len(box.messages) == 6


@pytest.mark.attack("flooding a mailbox at once")
@pytest.mark.parametrize("path", ASKING)
def test_fifty_requests_at_once_are_five_links(database_url, path):
    """Simultaneous requests are counted one after the other."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        client.portal.call(auth.database.write, lambda tx: None)
        box.clear()
    answers = at_once(app, auth, path, [{"email": ANN["email"]}] * 50)
    assert {answer.status_code for answer in answers} == {202}
    assert len(box.messages) == (5 if "forgot" in path else 4)  # one went with the account


@pytest.mark.attack("asking for links from one place")
@pytest.mark.parametrize("path", ASKING)
def test_one_address_asks_so_often_and_no_more(database_url, clock, path):
    """Beyond `registration_rate` requests an hour: 429 with `Retry-After`, for whoever is asked about."""
    app, _, _, _ = posted(database_url, clock=clock, registration_rate=4)
    with TestClient(app) as client:
        answers = [client.post(path, json={"email": f"a{count}@example.com"}) for count in range(6)]
        assert [answer.status_code for answer in answers] == [202] * 4 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) > 0
        clock.advance(3601)
        assert client.post(path, json={"email": "a@example.com"}).status_code == 202


@pytest.mark.attack("unicode and case variants of an address")
@pytest.mark.parametrize("path", ASKING)
@pytest.mark.parametrize(
    ("spelling", "reaches"),
    [
        ("ANN@EXAMPLE.COM", True),
        ("ann@EXAMPLE.com", True),
        ("\uff41nn@example.com", True),
        ("ann\uff20example.com", None),
        ("\u0430nn@example.com", None),
        ("ann@ex\u0430mple.com", False),
        ("m\u0131ke@example.com", None),
        ("ann+x@example.com", False),
        (" ann@example.com", None),
    ],
)
def test_a_link_goes_to_the_stored_address_alone(sqlite_url, path, spelling, reaches):
    """Whatever spelling is asked with, the mail goes to the address that registered, or nowhere."""
    app, _, _, box = posted(sqlite_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        client.post("/auth/register", json={**ANN, "username": "mike", "email": "mike@example.com"})
        box.clear()
        answer = client.post(path, json={"email": spelling})
        assert answer.status_code in ({202} if reaches is not None else {202, 422})
    assert {address for _, address in kinds(box)} <= {"ann@example.com"}
    assert bool(box.messages) is bool(reaches)
