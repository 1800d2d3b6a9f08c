"""The LAUNCH contract, route for route: statuses, bodies, redirects and the words of each error."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from profiles.fastlaunch.launching import API, GOOD, JOHN, PAGES, Launched, bearer, said
from rimlock import ConfigurationError
from rimlock.core import accounts
from rimlock.core.sessions import SessionEnded
from rimlock.features.profile import ProfileFeature
from rimlock.profiles.fastlaunch import DOCUMENTED, FastLaunch
from rimlock.retrofit.checks.switches import switches

pytestmark = pytest.mark.req("F1")


def fields(answer):
    """Return where a 422 says that something is wrong."""
    return [tuple(one["loc"]) for one in answer.json()["detail"]]


def test_create_user(database_url):
    """201 with the documented sentence, and a mail whose link leads to the documented route."""
    with Launched(database_url) as launch:
        answer = launch.post("/create-user", json=JOHN)
        assert (answer.status_code, answer.json()) == (201, {"message": "User created. Check your email to verify."})
        (mail,) = launch.outbox.to(JOHN["email"])
        assert mail.facts["link"].startswith(f"{API}/auth/verify-email?token=")
        assert mail.facts["minutes"] == 30
        assert launch.outbox.messages == [mail]


@pytest.mark.attack("enumeration by answer")
@pytest.mark.asvs("6.3.8")
def test_what_is_taken_is_told_only_on_request(sqlite_url, tmp_path):
    """400 for either; which one it was only with `insecure_tell_taken`, in the documented words."""
    same_name = {**JOHN, "email": "other@example.com"}
    same_address = {**JOHN, "username": "other"}
    with Launched(sqlite_url) as launch:
        launch.post("/create-user", json=JOHN)
        answers = [launch.post("/create-user", json=one) for one in (same_name, same_address, JOHN)]
        assert {one.status_code for one in answers} == {400}
        assert {one.text for one in answers} == {'{"detail":"Username or email already taken."}'}
    told = f"sqlite:///{tmp_path / 'told.db'}"
    with Launched(told, profile=FastLaunch(insecure_tell_taken=True)) as launch:
        launch.post("/create-user", json=JOHN)
        assert launch.post("/create-user", json=same_name).json() == {"detail": "Username already taken."}
        assert launch.post("/create-user", json=same_address).json() == {"detail": "Email already taken."}


def test_create_user_refuses_what_has_not_the_form(sqlite_url):
    """422 in the framework's shape, without what was sent: too short, common, no address, nothing at all."""
    with Launched(sqlite_url, password_minimum=8) as launch:
        assert fields(launch.post("/create-user", json={**JOHN, "password": "seven77"})) == [("body", "password")]
        common = launch.post("/create-user", json={**JOHN, "password": "password123"})
        assert (common.status_code, fields(common)) == (422, [("body", "password")])
        assert "password123" not in common.text
        assert fields(launch.post("/create-user", json={**JOHN, "email": "no address"})) == [("body", "email")]
        nothing = launch.post("/create-user", json={})
        assert fields(nothing) == [("body", "username"), ("body", "email"), ("body", "password")]
        assert launch.post("/create-user", json={**JOHN, "password": "xk8!greenladder"}).status_code == 201


def test_documented_passwords_only_on_request(sqlite_url):
    """`insecure_weak_passwords` takes eight characters of any kind, and still no fewer."""
    with Launched(sqlite_url, profile=FastLaunch(insecure_weak_passwords=True)) as launch:
        assert launch.post("/create-user", json={**JOHN, "password": "password123"}).status_code == 201
        assert launch.post("/create-user", json={**JOHN, "password": "passwor"}).status_code == 422


def test_verify_email(database_url, clock):
    """A redirect to the login page: verified, verified before, and for anything else `invalid_token`."""
    with Launched(database_url, clock=clock) as launch:
        launch.post("/create-user", json=JOHN)
        link = launch.link()
        first, again = launch.client.get(link), launch.client.get(link)
        assert (first.status_code, first.headers["location"]) == (307, f"{PAGES}/login?detail=email_verified")
        assert again.headers["location"] == f"{PAGES}/login?detail=already_verified"
        forged = launch.get("/verify-email", params={"token": "not a token"})
        assert forged.headers["location"] == f"{PAGES}/login?detail=invalid_token"
        assert (forged.headers["referrer-policy"], forged.headers["cache-control"]) == ("no-referrer", "no-store")


def test_the_link_lives_for_thirty_minutes(sqlite_url, clock):
    """Half an hour later it proves nothing."""
    with Launched(sqlite_url, clock=clock) as launch:
        launch.post("/create-user", json=JOHN)
        link = launch.link()
        clock.advance(30 * 60)
        assert launch.client.get(link).headers["location"].endswith("invalid_token")


@pytest.mark.attack("host header poisoning")
def test_links_are_made_of_settings(sqlite_url):
    """Neither Host nor any forwarded header changes where a link or a redirect leads."""
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    with Launched(sqlite_url) as launch:
        launch.post("/create-user", json=JOHN, headers=evil)
        launch.post("/request-password-reset", json={"email": JOHN["email"]}, headers=evil)
        links = [str(one.facts["link"]) for one in launch.outbox.messages]
        assert links[0].startswith(f"{API}/auth/")
        assert links[1].startswith(f"{PAGES}/reset-password?token=")
        assert launch.get("/verify-email?token=x", headers=evil).headers["location"].startswith(PAGES)


def test_token(database_url):
    """401 for the wrong password and before the address is proven, in the documented words; then the triple."""
    with Launched(database_url) as launch:
        launch.post("/create-user", json=JOHN)
        right = {"username": "john_doe", "password": GOOD}
        early = launch.post("/token", data=right)
        assert (early.status_code, early.json()) == (401, {"detail": "Verify your email first."})
        wrong = launch.post("/token", data={**right, "password": "another phrase"})
        assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid username or password."})
        nobody = launch.post("/token", data={**right, "username": "nobody"})
        assert (nobody.status_code, nobody.text) == (401, wrong.text)
        launch.client.get(launch.link())
        answer = launch.post("/token", data={**right, "grant_type": "password"})
        assert answer.status_code == 200
        assert {"access_token", "refresh_token", "token_type"} <= set(answer.json())
        assert answer.json()["token_type"] == "bearer"
        assert answer.headers["cache-control"] == "no-store"


def test_token_takes_a_form_and_that_alone(sqlite_url):
    """JSON is 415, a missing field and another grant 422."""
    with Launched(sqlite_url) as launch:
        assert launch.post("/token", json={"username": "x", "password": "y"}).status_code == 415
        assert fields(launch.post("/token", data={"username": "x"})) == [("body", "password")]
        other = launch.post("/token", data={"username": "x", "password": "y", "grant_type": "client_credentials"})
        assert (other.status_code, fields(other)) == (422, [("body", "grant_type")])


def test_who_guesses_waits(sqlite_url):
    """Which the documented API does not see to: 429 in its words, with the seconds to wait."""
    with Launched(sqlite_url) as launch:
        launch.verified()
        wrong = {"username": "john_doe", "password": "another phrase"}
        answers = [launch.post("/token", data=wrong) for _ in range(8)]
        assert answers[-1].status_code == 429
        assert set(answers[-1].json()) == {"detail"}
        assert int(answers[-1].headers["retry-after"]) > 0


def test_refresh(database_url):
    """Both tokens anew; 401 for what is none, for one of a session that ended, and for one used long ago."""
    with Launched(database_url) as launch:
        launch.verified()
        tokens = launch.signed_in()
        answer = launch.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert answer.status_code == 200
        assert answer.json()["refresh_token"] != tokens["refresh_token"]
        assert launch.get("/get-user", headers=bearer(answer.json())).status_code == 200
        refused = launch.post("/refresh", json={"refresh_token": "none"})
        assert (refused.status_code, refused.json()) == (401, {"detail": "Could not validate credentials"})
        assert launch.post("/refresh", json={}).status_code == 422


def test_get_user(database_url):
    """The documented five fields; 401 without a token and with a bad one."""
    with Launched(database_url) as launch:
        launch.verified()
        answer = launch.get("/get-user", headers=bearer(launch.signed_in())).json()
        assert {**answer, "id": 0} == {
            "id": 0,
            "username": "john_doe",
            "email": "john@example.com",
            "is_verified": True,
            "is_oauth": False,
        }
        missing, bad = launch.get("/get-user"), launch.get("/get-user", headers={"Authorization": "Bearer x"})
        assert (missing.status_code, missing.json()) == (401, {"detail": "Not authenticated"})
        assert (bad.status_code, bad.json()) == (401, {"detail": "Could not validate credentials"})
        assert missing.headers["www-authenticate"] == bad.headers["www-authenticate"] == "Bearer"


def test_update_user(database_url):
    """The documented fields change and come back; what is unknown is passed over, as it was."""
    profile = {
        "display_name": "John Doe",
        "bio": "Software developer",
        "niche_preference": "technology",
        "avatar_url": "https://example.com/avatar.jpg",
    }
    with Launched(database_url) as launch:
        launch.verified()
        headers = bearer(launch.signed_in())
        answer = launch.client.patch("/auth/update-user", json={**profile, "is_verified": False}, headers=headers)
        assert (answer.status_code, answer.json()) == (200, profile)
        one = launch.client.patch("/auth/update-user", json={"bio": None}, headers=headers)
        assert one.json() == {**profile, "bio": None}
        assert launch.get("/get-user", headers=headers).json()["is_verified"] is True
        assert launch.client.patch("/auth/update-user", json={}).status_code == 401
        wrong = launch.client.patch("/auth/update-user", json={"avatar_url": "javascript:x"}, headers=headers)
        assert (wrong.status_code, fields(wrong)) == (422, [("body", "avatar_url")])


@pytest.mark.asvs("15.3.3")
@pytest.mark.parametrize("name", ["id", "created_at", "is_admin", "hashed_password", "google_sub", "email"])
def test_protected_fields(sqlite_url, name):
    """400 in the documented words, and nothing else of the request is done."""
    with Launched(sqlite_url) as launch:
        launch.verified()
        headers = bearer(launch.signed_in())
        answer = launch.client.patch("/auth/update-user", json={"bio": "New", name: "x"}, headers=headers)
        assert (answer.status_code, answer.json()) == (400, {"detail": f"Cannot update '{name}'."})
        assert launch.client.patch("/auth/update-user", json={}, headers=headers).json()["bio"] is None


def test_fields_of_the_application(sqlite_url):
    """With a model of its own the application decides what a profile has, here too."""

    class Fields(BaseModel):
        bio: str = ""
        company: str = ""

    with Launched(sqlite_url, also=[ProfileFeature(Fields)]) as launch:
        launch.verified()
        headers = bearer(launch.signed_in())
        answer = launch.client.patch("/auth/update-user", json={"company": "Acme"}, headers=headers)
        assert answer.json()["company"] == "Acme"
        wrong = launch.client.patch("/auth/update-user", json={"company": 7}, headers=headers)
        assert (wrong.status_code, fields(wrong)) == (422, [("body", "company")])


def test_a_user_who_is_gone(sqlite_url):
    """Their token is refused at once; there is nobody to change."""
    with Launched(sqlite_url) as launch:
        launch.verified()
        headers = bearer(launch.signed_in())
        user_id = launch.get("/get-user", headers=headers).json()["id"]
        auth = launch.auth
        launch.client.portal.call(auth.database.write, lambda tx: auth.context.users.delete(tx, user_id))
        answer = launch.client.patch("/auth/update-user", json={"bio": "x"}, headers=headers)
        assert (answer.status_code, answer.json()) == (404, {"detail": "User not found"})


@pytest.mark.asvs("6.3.8", "7.4.3")
def test_password_reset(database_url, clock):
    """The same answer whoever asks; the link works once, ends every session, and is over after an hour."""
    with Launched(database_url, clock=clock) as launch:
        launch.verified()
        tokens = launch.signed_in()
        answers = [
            launch.post("/request-password-reset", json={"email": one}) for one in (JOHN["email"], "x@y.example")
        ]
        assert {one.status_code for one in answers} == {200}
        assert {one.text for one in answers} == {'{"detail":"If the email exists, a reset link has been sent."}'}
        token = said_token(launch)
        body = {"token": token, "new_password": "eleven quiet harbours"}
        weak = launch.post("/reset-password", json={**body, "new_password": "short"})
        assert (weak.status_code, fields(weak)) == (422, [("body", "new_password")])
        done = launch.post("/reset-password", json=body)
        assert (done.status_code, done.json()) == (200, {"detail": "Password reset successful"})
        assert launch.post("/reset-password", json=body).status_code == 400
        assert launch.get("/get-user", headers=bearer(tokens)).status_code == 401
        launch.signed_in({**JOHN, "password": "eleven quiet harbours"})
        launch.post("/request-password-reset", json={"email": JOHN["email"]})
        clock.advance(3600)
        late = launch.post("/reset-password", json={**body, "token": said_token(launch)})
        assert (late.status_code, late.json()) == (400, {"detail": "Invalid or expired token."})
    assert any(isinstance(one, SessionEnded) for one in launch.events)


def said_token(launch):
    """Return the secret of the newest link to choose another password."""
    return launch.outbox.link(JOHN["email"], "reset_password").partition("token=")[2]


@pytest.mark.attack("cross-purpose token")
def test_a_link_is_good_for_what_it_was_made_for(sqlite_url):
    """The secret that proves an address resets no password, nor the other way round."""
    with Launched(sqlite_url) as launch:
        launch.post("/create-user", json=JOHN)
        launch.post("/request-password-reset", json={"email": JOHN["email"]})
        proving = launch.link().partition("token=")[2]
        body = {"token": proving, "new_password": "eleven quiet harbours"}
        assert launch.post("/reset-password", json=body).status_code == 400
        answer = launch.get("/verify-email", params={"token": said_token(launch)})
        assert said(answer) == (f"{PAGES}/login", {"detail": "invalid_token"})


def test_who_has_to_choose_a_password_first(sqlite_url):
    """A temporary password opens nothing here either, and the link in a mail is the way on."""
    with Launched(sqlite_url) as launch:
        launch.verified()
        auth = launch.auth

        def must(tx):
            user = auth.context.users.find(tx, "john_doe")
            account = accounts.standing(tx, user.id)
            accounts.set_password_hash(tx, user.id, account.password_hash, now=auth.context.now(), must_change=True)

        launch.client.portal.call(auth.database.write, must)
        answer = launch.post("/token", data={"username": "john_doe", "password": GOOD})
        assert answer.status_code == 403
        assert "access_token" not in answer.text
        launch.post("/request-password-reset", json={"email": JOHN["email"]})
        body = {"token": said_token(launch), "new_password": "eleven quiet harbours"}
        assert launch.post("/reset-password", json=body).status_code == 200
        launch.signed_in({**JOHN, "password": "eleven quiet harbours"})


def test_the_choices_are_checked_and_listed(sqlite_url):
    """Unsafe forms are off; each that is on is named with why, for `rimlock doctor`. Without pages nothing starts."""
    assert FastLaunch().documented == {}
    on = FastLaunch(insecure_tokens_in_redirect=True, insecure_tell_taken=True)
    assert set(on.documented) == {"insecure_tokens_in_redirect", "insecure_tell_taken"}
    assert set(FastLaunch(**dict.fromkeys(DOCUMENTED, True)).documented) == set(DOCUMENTED)
    launch = Launched(sqlite_url, profile=on)
    found = [one for one in switches(launch.auth.settings, launch.auth.features) if one.state == "warn"]
    assert {one.text.split()[0] for one in found if one.name == "profile"} == set(on.documented)
    with pytest.raises(ConfigurationError, match="FRONTEND_URL"):
        Launched(sqlite_url, frontend_url="")
    with pytest.raises(ConfigurationError, match="prefix"):
        FastLaunch(prefix="auth/")


def test_the_document_has_the_routes(sqlite_url):
    """The host's OpenAPI document shows every documented route."""
    paths = Launched(sqlite_url).app.openapi()["paths"]
    documented = {
        ("post", "/auth/create-user"),
        ("get", "/auth/verify-email"),
        ("post", "/auth/token"),
        ("post", "/auth/refresh"),
        ("get", "/auth/oauth/{provider}"),
        ("get", "/auth/oauth/callback/{provider}"),
        ("get", "/auth/get-user"),
        ("patch", "/auth/update-user"),
        ("post", "/auth/request-password-reset"),
        ("post", "/auth/reset-password"),
    }
    assert documented <= {(method, path) for path, item in paths.items() for method in item}
