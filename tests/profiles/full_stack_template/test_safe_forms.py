"""What the template leaves open is closed unless it is asked for by name, and each name brings back one form."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from profiles.full_stack_template.office import API, BETTER, GOOD, change, moved, office, signed_in, standing
from rimlock.core import accounts
from rimlock.core.errors import ConfigurationError
from rimlock.profiles.full_stack_template import FullStackTemplate
from rimlock.profiles.full_stack_template.desk import DOCUMENTED
from rimlock.retrofit.checks.switches import switches

pytestmark = [pytest.mark.req("L9", "N7")]

AGAIN = {"detail": "Sign in again to do this."}
LONG = {"access_lifetime": timedelta(hours=24)}
TWENTY_MINUTES = 1_200


def said(answer):
    """Return status and body."""
    return answer.status_code, answer.json()


def login(client, email, password):
    """Try to sign in."""
    return said(client.post(f"{API}/login/access-token", data={"username": email, "password": password}))


@pytest.mark.asvs("V6.3.8")
@pytest.mark.attack("enumeration by registration")
def test_signing_up_does_not_tell_whether_an_address_is_taken(database_url, clock):
    """The same answer but for the id; whose address it is is told by mail, and nothing of theirs changes."""
    app, auth, box = office(database_url, clock)
    with TestClient(app) as client:
        ann_id = moved(client, auth, "ann@example.com", full_name="Ann")
        answers = [
            client.post(f"{API}/users/signup", json={"email": email, "password": BETTER, "full_name": "Eve"})
            for email in ("free@example.com", "ann@example.com", "Ann@example.com")
        ]
        shown = [{**answer.json(), "id": "", "email": ""} for answer in answers]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert shown[0] == shown[1] == shown[2]
        assert [answer.headers.keys() for answer in answers].count(answers[0].headers.keys()) == 3
        assert ann_id not in answers[1].text
        assert [message.to for message in box.messages if message.kind == "email_taken"] == ["ann@example.com"] * 2
        assert client.get(f"{API}/users/me", headers=signed_in(client, "ann@example.com")).json()["full_name"] == "Ann"


@pytest.mark.attack("mail flooding")
def test_whose_address_is_tried_gets_five_mails_an_hour_at_most(sqlite_url, clock):
    """And nobody is told that there were enough."""
    app, auth, box = office(sqlite_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        sent = {"email": "ann@example.com", "password": BETTER}
        assert {client.post(f"{API}/users/signup", json=sent).status_code for _ in range(8)} == {200}
        assert len(box.to("ann@example.com")) == 5


@pytest.mark.attack("enumeration by registration")
def test_signing_in_does_not_tell_it_either_where_addresses_have_to_be_proven(database_url, clock):
    """With `require_verified`, the password that was just chosen is answered as it is for an address that was taken."""
    app, auth, _ = office(database_url, clock, settings={"require_verified": True})
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        for email in ("free@example.com", "ann@example.com"):
            client.post(f"{API}/users/signup", json={"email": email, "password": BETTER})
        assert login(client, "free@example.com", BETTER) == login(client, "ann@example.com", BETTER)


def test_the_documented_signup_is_there_by_name(database_url, clock):
    """400 without a full stop."""
    app, auth, _ = office(database_url, clock, insecure_tell_taken=True)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        answer = client.post(f"{API}/users/signup", json={"email": "ann@example.com", "password": BETTER})
        assert said(answer) == (400, {"detail": "The user with this email already exists in the system"})


def test_registration_goes_by_its_setting(sqlite_url, clock):
    """Closed is closed in the dialect too; by approval people wait, and are told so once their password is right."""
    app, _, _ = office(sqlite_url, clock, settings={"registration": "closed"})
    sent = {"email": "bob@example.com", "password": BETTER}
    with TestClient(app) as client:
        assert client.post(f"{API}/users/signup", json=sent).status_code == 403


def test_who_waits_for_approval_is_inactive(sqlite_url, clock):
    """In the answer to the registration, and at the sign-in with the right password alone."""
    app, auth, _ = office(sqlite_url, clock, settings={"registration": "approval"})
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        for email in ("bob@example.com", "ann@example.com"):
            answer = client.post(f"{API}/users/signup", json={"email": email, "password": BETTER})
            assert answer.json()["is_active"] is False
        assert login(client, "bob@example.com", BETTER)[1]["detail"] == "Inactive user"
        assert login(client, "bob@example.com", GOOD)[1]["detail"] == "Incorrect email or password"


@pytest.mark.attack("enumeration by sign-in")
@pytest.mark.parametrize("insecure", [False, True])
def test_a_disabled_account_is_told_at_the_sign_in_by_name_alone(database_url, clock, insecure):
    """Its right password is as wrong as any, unless the documented form is asked for; a wrong one always is."""
    app, auth, _ = office(database_url, clock, insecure_tell_inactive=insecure)
    with TestClient(app) as client:
        user_id = moved(client, auth, "ann@example.com")
        change(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=auth.context.now()))
        expected = "Inactive user" if insecure else "Incorrect email or password"
        status, body = login(client, "ann@example.com", GOOD)
        assert (status, body["detail"]) == (400, expected)
        assert login(client, "ann@example.com", BETTER)[1]["detail"] == "Incorrect email or password"


@pytest.mark.asvs("V15.3.3")
@pytest.mark.attack("mass assignment")
def test_nobody_gives_themselves_a_flag(database_url, clock):
    """What the forms do not have is passed over: at the registration, and when one changes oneself."""
    app, auth, _ = office(database_url, clock)
    flags = {"is_superuser": True, "is_active": False, "id": "0" * 32, "roles": ["admin"], "is_verified": True}
    with TestClient(app) as client:
        sent = {"email": "eve@example.com", "password": BETTER, **flags}
        made = client.post(f"{API}/users/signup", json=sent).json()
        assert (made["is_superuser"], made["is_active"]) == (False, True)
        eve = signed_in(client, "eve@example.com", BETTER)
        changed = client.patch(f"{API}/users/me", json={**flags, "full_name": "Eve"}, headers=eve).json()
        assert (changed["is_superuser"], changed["is_active"], changed["id"]) == (False, True, made["id"])
        account = standing(client, auth, made["id"].replace("-", ""))
        assert (account.roles, account.verified, account.active) == (frozenset(), False, True)


@pytest.mark.asvs("V7.5.1")
@pytest.mark.attack("account takeover by a stolen token")
@pytest.mark.parametrize("insecure", [False, True])
def test_what_a_stolen_token_must_not_do_needs_a_recent_sign_in(database_url, clock, insecure):
    """Another address, deletions and what superusers change; a name is changed by any token."""
    app, auth, _ = office(database_url, clock, settings=LONG, insecure_changes_without_recent_login=insecure)
    with TestClient(app) as client:
        ann_id = moved(client, auth, "ann@example.com")
        bob_id = moved(client, auth, "bob@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        ann, root = signed_in(client, "ann@example.com"), signed_in(client, "root@example.com")
        clock.advance(TWENTY_MINUTES)
        assert client.patch(f"{API}/users/me", json={"full_name": "Ann"}, headers=ann).status_code == 200
        new = {"email": "new@example.com", "password": BETTER}
        answers = [
            client.patch(f"{API}/users/me", json={"email": "eve@example.com"}, headers=ann),
            client.patch(f"{API}/users/{bob_id}", json={"email": "eva@example.com"}, headers=root),
            client.post(f"{API}/users/", json=new, headers=root),
            client.delete(f"{API}/users/{bob_id}", headers=root),
            client.delete(f"{API}/users/me", headers=ann),
        ]
        if insecure:
            assert [answer.status_code for answer in answers] == [200] * 5
            assert standing(client, auth, ann_id) is None
        else:
            assert [said(answer) for answer in answers] == [(403, AGAIN)] * 5


def test_another_address_is_told_to_the_one_before_and_not_proven(database_url, clock):
    """As it is wherever an address changes."""
    app, auth, box = office(database_url, clock)
    with TestClient(app) as client:
        user_id = moved(client, auth, "ann@example.com")
        change(client, auth, lambda tx: accounts.set_verified(tx, user_id, verified=True, now=auth.context.now()))
        ann = signed_in(client, "ann@example.com")
        client.patch(f"{API}/users/me", json={"email": "anna@example.com"}, headers=ann)
        assert standing(client, auth, user_id).verified is False
        assert box.to("ann@example.com", "email_changed")
        assert login(client, "ann@example.com", GOOD)[0] == 400
        signed_in(client, "anna@example.com")


@pytest.mark.asvs("V6.4.6")
@pytest.mark.attack("password known to an administrator")
def test_superusers_choose_no_passwords(database_url, clock):
    """Who is made an account for gets a link to choose one by; what the superuser typed opens nothing."""
    app, auth, box = office(database_url, clock)
    with TestClient(app) as client:
        ann_id = moved(client, auth, "ann@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        root = signed_in(client, "root@example.com")
        client.post(f"{API}/users/", json={"email": "new@example.com", "password": GOOD}, headers=root)
        assert login(client, "new@example.com", GOOD)[0] == 400
        token = box.link("new@example.com", "reset_password").partition("?token=")[2]
        chosen = client.post(f"{API}/reset-password/", json={"token": token, "new_password": BETTER})
        assert chosen.status_code == 200
        signed_in(client, "new@example.com", BETTER)
        refused = client.patch(f"{API}/users/{ann_id}", json={"password": BETTER, "full_name": "X"}, headers=root)
        assert refused.status_code == 400
        assert client.get(f"{API}/users/{ann_id}", headers=root).json()["full_name"] is None
        signed_in(client, "ann@example.com")


def test_superusers_choose_them_where_that_was_asked_for(database_url, clock):
    """For new accounts and old ones; the tokens of before are over with the password."""
    app, auth, box = office(database_url, clock, insecure_superusers_set_passwords=True)
    with TestClient(app) as client:
        ann_id = moved(client, auth, "ann@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        root, ann = signed_in(client, "root@example.com"), signed_in(client, "ann@example.com")
        client.post(f"{API}/users/", json={"email": "new@example.com", "password": GOOD}, headers=root)
        signed_in(client, "new@example.com", GOOD)
        assert box.to("new@example.com", "reset_password") == []
        client.patch(f"{API}/users/{ann_id}", json={"password": BETTER}, headers=root)
        assert client.get(f"{API}/users/me", headers=ann).status_code == 403
        signed_in(client, "ann@example.com", BETTER)


@pytest.mark.attack("account takeover by an administrator")
@pytest.mark.parametrize("insecure", [False, True])
def test_superusers_see_no_link_that_works_unless_that_was_asked_for(database_url, clock, insecure):
    """The mail is shown with a sentence in place of the secret, no link is made, and nothing is sent."""
    app, auth, box = office(database_url, clock, insecure_show_reset_links=insecure)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        root = signed_in(client, "root@example.com")
        page = client.post(f"{API}/password-recovery-html-content/ann@example.com", headers=root).text
        token = page.partition("?token=")[2].partition('"')[0]
        answer = client.post(f"{API}/reset-password/", json={"token": token, "new_password": BETTER})
        assert answer.status_code == (200 if insecure else 400)
        assert box.to("ann@example.com", "reset_password") == []


def test_the_subject_of_a_mail_stands_in_a_header_in_any_language(sqlite_url, clock):
    """Where it is not ASCII, it is encoded as headers are."""
    app, auth, _ = office(sqlite_url, clock, settings={"locale": "ja"})
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        root = signed_in(client, "root@example.com")
        answer = client.post(f"{API}/password-recovery-html-content/ann@example.com", headers=root)
        assert answer.status_code == 200
        assert answer.headers["subject"].startswith("=?utf-8?")


@pytest.mark.parametrize("insecure", [False, True])
def test_passwords_that_everybody_guesses_are_taken_by_name_alone(sqlite_url, clock, insecure):
    """422 with the reason, unless the documented eight characters were asked for. What was sent is not repeated."""
    app, _, _ = office(sqlite_url, clock, insecure_weak_passwords=insecure)
    with TestClient(app) as client:
        sent = {"email": "bob@example.com", "password": "changethis"}
        answer = client.post(f"{API}/users/signup", json=sent)
        assert answer.status_code == (200 if insecure else 422)
        assert "changethis" not in answer.text
        assert client.post(f"{API}/users/signup", json={**sent, "password": "sev3n-7"}).status_code == 422


@pytest.mark.attack("lockout of all administrators")
def test_the_last_superuser_stays_one(database_url, clock):
    """Neither the flag nor the account is taken away, by nobody."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        root_id = moved(client, auth, "root@example.com", superuser=True)
        root = signed_in(client, "root@example.com")
        for sent in ({"is_superuser": False}, {"is_active": False}):
            answer = client.patch(f"{API}/users/{root_id}", json=sent, headers=root)
            assert said(answer) == (409, {"detail": "This is the last administrator."})
        assert client.get(f"{API}/users/", headers=root).status_code == 200


@pytest.mark.asvs("V8.3.2")
def test_who_was_a_superuser_a_moment_ago_is_none(database_url, clock):
    """With the role, the token that rests on it is over at once."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "root@example.com", superuser=True)
        too_id = moved(client, auth, "too@example.com", superuser=True)
        root, too = signed_in(client, "root@example.com"), signed_in(client, "too@example.com")
        client.patch(f"{API}/users/{too_id}", json={"is_superuser": False}, headers=root)
        assert client.get(f"{API}/users/", headers=too).status_code == 403
        again = signed_in(client, "too@example.com")
        assert client.get(f"{API}/users/", headers=again).json()["detail"].endswith("enough privileges")


def test_tries_to_sign_in_are_limited(sqlite_url, clock):
    """429, which says when to come back."""
    app, auth, _ = office(sqlite_url, clock, settings={"login_rate": 5, "lockout_after": 5})
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        form = {"username": "ann@example.com", "password": BETTER}
        answers = [client.post(f"{API}/login/access-token", data=form) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [400] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) > 0


def test_doctor_names_each_unsafe_form_that_was_asked_for(sqlite_url, clock):
    """And none that was not."""
    _, plain, _ = office(sqlite_url, clock)
    assert [one for one in switches(plain.settings, plain.features) if one.name == "profile"] == []
    _, auth, _ = office(sqlite_url, clock, **dict.fromkeys(DOCUMENTED, True))
    named = [one for one in switches(auth.settings, auth.features) if one.name == "profile"]
    assert [one.text for one in named] == [f"{name} is on" for name in DOCUMENTED]
    assert {one.state for one in named} == {"warn"}


@pytest.mark.parametrize("prefix", ["api/v1", "/api/v1/"])
def test_a_prefix_that_is_none_is_refused_at_once(prefix):
    """Where the application is made, not at the first request."""
    with pytest.raises(ConfigurationError, match="prefix"):
        FullStackTemplate(prefix=prefix)
