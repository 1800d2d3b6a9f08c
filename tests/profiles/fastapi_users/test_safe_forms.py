"""Where the documented form is unsafe, the safe one is what one gets; the other is asked for by name."""

from __future__ import annotations

from datetime import date

import pytest
from fastapi.testclient import TestClient

from profiles.fastapi_users.town import BETTER, GOOD, OLD, OURS, bearing, moved, old_token, town
from rimlock import ConfigurationError, CurrentUser, Rimlock, Settings
from rimlock.profiles.fastapi_users import (
    DOCUMENTED,
    AuthenticationBackend,
    BearerTransport,
    FastAPIUsers,
    FastAPIUsersProfile,
    JWTStrategy,
)
from rimlock.retrofit.checks.switches import switches
from rimlock.testing import Outbox

pytestmark = [pytest.mark.req("L9")]

DAY = 86400


def signed_in(client, email, password=GOOD):
    """Sign in, and return the header."""
    answer = client.post("/auth/jwt/login", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    return bearing(answer.json()["access_token"])


@pytest.mark.parametrize("change", [{"password": BETTER}, {"email": "ann@elsewhere.example"}])
@pytest.mark.parametrize("asked", [(), ("insecure_changes_without_recent_login",)])
def test_a_token_alone_takes_no_account_over(sqlite_url, clock, change, asked):
    """Password and address are changed by somebody who signed in a moment ago; other fields by anybody signed in."""
    app, auth, _ = town(sqlite_url, clock, options={"documented": asked})
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        old = bearing(old_token(ann, exp=int(clock()) + DAY))
        stale = signed_in(client, "ann@example.com")
        clock.advance(899)
        assert client.patch("/users/me", json={}, headers=stale).status_code == 200
        clock.advance(0.5)
        refused = client.patch("/users/me", json=change, headers=old)
        assert refused.status_code == (200 if asked else 403)
        if not asked:
            assert refused.json() == {"detail": "Forbidden"}
            assert (
                client.patch("/users/me", json=change, headers=signed_in(client, "ann@example.com")).status_code == 200
            )


@pytest.mark.parametrize("asked", [(), ("insecure_superusers_set_passwords",)])
def test_superusers_do_not_choose_passwords(sqlite_url, clock, asked):
    """The answer has the documented form, and says what to do instead."""
    app, auth, _ = town(sqlite_url, clock, options={"documented": asked})
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        moved(client, auth, "boss@example.com", roles=("admin",))
        boss = signed_in(client, "boss@example.com")
        answer = client.patch(f"/users/{ann}", json={"password": BETTER}, headers=boss)
        if asked:
            assert answer.status_code == 200
            signed_in(client, "ann@example.com", BETTER)
        else:
            assert answer.json()["detail"]["code"] == "UPDATE_USER_INVALID_PASSWORD"
            signed_in(client, "ann@example.com")


SENT = {
    "another origin": {"Origin": "https://evil.example"},
    "no origin": {"Origin": "null"},
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "a sibling host": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.attack("login CSRF")
@pytest.mark.parametrize("sent", SENT.values(), ids=SENT.keys())
@pytest.mark.parametrize("asked", [(), ("insecure_cookies_from_any_origin",)])
def test_a_cookie_counts_for_pages_of_ours_alone(sqlite_url, clock, sent, asked):
    """Another page changes nothing, signs nobody in and nobody out, on routes of the dialect and on the host's."""
    app, auth, _ = town(sqlite_url, clock, options={"documented": asked}, origins=["https://app.example.com"])

    @app.post("/native")
    async def change(user: CurrentUser) -> str:
        return user.id

    with TestClient(app, base_url="https://testserver") as client:
        moved(client, auth, "ann@example.com")
        form = {"username": "ann@example.com", "password": GOOD}
        assert client.post("/auth/cookie/login", data=form, headers=sent).status_code == (204 if asked else 403)
        assert client.post("/auth/cookie/login", data=form).status_code == 204
        assert client.get("/users/me").status_code == 200
        ours = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"}
        assert client.patch("/users/me", json={}, headers=ours).status_code == 200
        assert client.post("/native", headers=ours).status_code == 200
        for method, path in (("PATCH", "/users/me"), ("POST", "/native"), ("POST", "/auth/cookie/logout")):
            body = {"json": {}} if method == "PATCH" else {}
            answer = client.request(method, path, headers=sent, **body)
            assert (answer.status_code == 401) == (not asked), (method, path, answer.text)


def test_a_changed_password_renews_the_cookie_it_came_by(sqlite_url, clock):
    """Every other session and token is over; the browser that changed it stays signed in."""
    app, auth, _ = town(sqlite_url, clock)
    with TestClient(app, base_url="https://testserver") as client:
        moved(client, auth, "ann@example.com")
        other = signed_in(client, "ann@example.com")
        client.post("/auth/cookie/login", data={"username": "ann@example.com", "password": GOOD})
        before = client.cookies["fastapiusersauth"]
        assert client.patch("/users/me", json={"password": BETTER}).status_code == 200
        assert client.cookies["fastapiusersauth"] != before
        assert client.get("/users/me").status_code == 200
        client.cookies.clear()
        assert client.get("/users/me", headers=other).status_code == 401
        assert client.get("/users/me", headers={"Cookie": f"fastapiusersauth={before}"}).status_code == 401


@pytest.mark.attack("password guessing from one address")
def test_sign_ins_are_limited_and_the_answer_says_when_to_come_back(sqlite_url, clock):
    """The dialect has no code for it: 429, in its words."""
    app, auth, _ = town(sqlite_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        form = {"username": "ann@example.com", "password": "no such password"}
        answers = [client.post("/auth/jwt/login", data=form) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [400] * 5 + [429]
        assert answers[-1].json() == {"detail": "Too Many Requests"}
        assert int(answers[-1].headers["retry-after"]) > 0


def test_the_hooks_get_the_links_and_nothing_is_mailed_beside_them(sqlite_url, clock):
    """After the answer, which is the same for everybody; a secret that a hook was given works once."""
    app, auth, told = town(sqlite_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        posted = Outbox(auth)
        for email in ("ann@example.com", "nobody@example.com"):
            for path in ("/auth/forgot-password", "/auth/request-verify-token"):
                answer = client.post(path, json={"email": email})
                assert (answer.status_code, answer.json()) == (202, None)
        assert [(kind, email) for kind, email, _ in told] == [
            ("forgot", "ann@example.com"),
            ("verify", "ann@example.com"),
        ]
        assert posted.messages == []
        reset = {"token": told[0][2], "password": BETTER}
        assert client.post("/auth/reset-password", json=reset).status_code == 200
        assert client.post("/auth/reset-password", json=reset).status_code == 400
        signed_in(client, "ann@example.com", BETTER)


def test_without_hooks_the_mails_are_ours(sqlite_url, clock):
    """A link in the outbox, to the host's page; a registration alone mails nothing."""
    app, auth, _ = town(sqlite_url, clock, hooks=False, frontend_url="https://app.example.com")
    with TestClient(app) as client:
        posted = Outbox(auth)
        client.post("/auth/register", json={"email": "new@example.com", "password": GOOD})
        assert posted.messages == []
        client.post("/auth/request-verify-token", json={"email": "new@example.com"})
        client.post("/auth/forgot-password", json={"email": "new@example.com"})
        assert [one.kind for one in posted.messages] == ["verify_email", "reset_password"]
        link = posted.link("new@example.com", "verify_email")
        assert link.startswith("https://app.example.com/verify-email?token=")
        token = link.partition("token=")[2]
        assert client.post("/auth/verify", json={"token": token}).json()["is_verified"] is True


def test_a_deletion_tells_the_hooks_before_and_after(sqlite_url, clock):
    """And not where nobody was deleted: the last superuser stays."""
    app, auth, told = town(sqlite_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        boss = moved(client, auth, "boss@example.com", roles=("admin",))
        ruling = signed_in(client, "boss@example.com")
        told.clear()
        assert client.delete(f"/users/{ann}", headers=ruling).status_code == 204
        assert told == [("before delete", "ann@example.com"), ("after delete", "ann@example.com")]
        assert client.delete(f"/users/{boss}", headers=ruling).json() == {"detail": "Forbidden"}
        assert client.get("/users/me", headers=ruling).status_code == 200


def test_a_body_of_a_megabyte_is_not_read(sqlite_url, clock):
    """413, in the words of the dialect."""
    app, _, _ = town(sqlite_url, clock)
    with TestClient(app) as client:
        for content in ({"data": {"username": "a" * 10**6, "password": "b"}}, {"json": {"email": "a" * 10**6}}):
            path = "/auth/jwt/login" if "data" in content else "/auth/register"
            assert client.post(path, **content).status_code == 413


@pytest.mark.parametrize("twice", [("username", "a@b.c"), ("password", "x")])
def test_a_field_that_is_sent_twice_is_refused(sqlite_url, clock, twice):
    """Two parties could read different halves."""
    app, auth, _ = town(sqlite_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        name, value = twice
        form = f"username=ann%40example.com&password={GOOD}&{name}={value}"
        head = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/auth/jwt/login", content=form, headers=head).status_code == 422
        lines = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        body = f"{lines}{lines}--x--\r\n"
        head = {"Content-Type": "multipart/form-data; boundary=x"}
        assert client.post("/auth/jwt/login", content=body, headers=head).status_code == 422


def test_an_api_key_and_a_native_token_are_told_apart(sqlite_url, clock):
    """A token of our own routes signs in here as well; whoever is waiting to be let in is nobody."""
    app, auth, _ = town(sqlite_url, clock, native=True, prefix="/native-auth")
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        native = client.post("/native-auth/login", json={"login": "ann@example.com", "password": GOOD}).json()
        assert client.get("/users/me", headers=bearing(native["access_token"])).status_code == 200
        mine = signed_in(client, "ann@example.com")
        assert client.get("/native-auth/me", headers=mine).status_code == 200


def test_doctor_lists_what_was_asked_for(sqlite_url):
    """Each unsafe form by its name, and why it is unsafe."""
    profile = FastAPIUsersProfile(documented=list(DOCUMENTED))
    assert dict(profile.documented) == DOCUMENTED
    auth = Rimlock(Settings(secrets=[OURS], database=sqlite_url), profiles=[profile], native=False)
    found = [finding for finding in findings_of(auth) if finding.state == "warn"]
    assert {name for name in DOCUMENTED if any(name in one.text for one in found)} == set(DOCUMENTED)


def findings_of(auth):
    """Return what is found about switches."""
    return list(switches(auth.settings, auth.profiles))


def test_what_cannot_work_is_refused_when_it_is_made(sqlite_url):
    """Numbers as ids without the table that has them, two backends of one name, a name that is no opt-in."""
    backend = AuthenticationBackend("jwt", BearerTransport("login"))
    with pytest.raises(ConfigurationError, match="one name"):
        FastAPIUsersProfile(backends={"/a": backend, "/b": AuthenticationBackend("jwt", BearerTransport("x"))})
    with pytest.raises(ConfigurationError, match="insecure_superusers_set_passwords"):
        FastAPIUsersProfile(documented=["anything_goes"])
    settings = Settings(secrets=[OURS], database=sqlite_url)
    with pytest.raises(ConfigurationError, match="user table"):
        Rimlock(settings, profiles=[FastAPIUsersProfile(ids="int")])
    rsa = AuthenticationBackend("jwt", BearerTransport("x"), lambda: JWTStrategy(OLD, 3600, algorithm="RS256"))
    with pytest.raises(ConfigurationError, match="HS256"):
        FastAPIUsers(lambda: None, [rsa], legacy_until=date(2030, 1, 1))
