"""Signing in elsewhere in the dialect: the documented codes, what a browser is bound by, and what links to what."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase

from features.social.office import at
from features.social.stub import CLIENT, SECRET, standing
from profiles.fastapi_users.town import BACKENDS, GOOD, OURS, Manager, bearing, moved, old_token, town
from rimlock import ConfigurationError, MappedUsers, Rimlock, Settings
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.profiles.fastapi_users import BaseUserManager, FastAPIUsers, schemas
from rimlock.profiles.fastapi_users.db import SQLAlchemyBaseUserTableUUID
from rimlock.profiles.fastapi_users.elsewhere import provider_behind

pytestmark = [pytest.mark.req("L9", "L10", "F2")]

API = "https://api.example.com"
OUT, BACK = "/auth/stub/authorize", "/auth/stub/callback"
LINK, LINKED = "/auth/associate/stub/authorize", "/auth/associate/stub/callback"
COOKIE = "fastapiusersoauthcsrf"


class UserRead(schemas.BaseUser[UUID], schemas.BaseOAuthAccountMixin):
    """A user with their logins elsewhere."""


@pytest.fixture
def stub(clock):
    """A provider that does as it is told."""
    with standing(clock) as one:
        yield one


def reached(url, clock, stub, *, documented=(), **options):
    """Return an application that people sign in to by the stub, its Rimlock, and what its hooks were told."""
    given = {"providers": [at(stub)], "user": UserRead, "documented": documented, **options}
    return town(url, clock, options=given, backend_url=API)


def browser(app):
    """Return a browser at our address, over TLS."""
    return TestClient(app, base_url=API, follow_redirects=False)


def left(client, path=OUT, **sent):
    """Begin; return where the browser is to be sent."""
    answer = client.get(path, **sent)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"authorization_url"}
    return answer.json()["authorization_url"]


def came(client, stub):
    """Go to the provider and come back; return our answer."""
    return client.get(BACK, params=stub.authorize(left(client)))


def signed_in(client, email):
    """Sign in by password, and return the header."""
    answer = client.post("/auth/jwt/login", data={"username": email, "password": GOOD})
    assert answer.status_code == 200, answer.text
    return bearing(answer.json()["access_token"])


def refused(answer, code, status=400):
    """Check a refusal, in the words of the dialect."""
    assert (answer.status_code, answer.json()) == (status, {"detail": code})


def test_somebody_new_comes_in(database_url, clock, stub):
    """The answer is that of `/login`; the account is new, proven as the provider says, and shows the login."""
    app, _, told = reached(database_url, clock, stub)
    with browser(app) as client:
        url = left(client, params={"scopes": ["calendar"]})
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["redirect_uri"] == f"{API}{BACK}"
        assert asked["code_challenge_method"] == "S256"
        assert {"nonce", "state"} <= set(asked)
        assert "calendar" not in asked["scope"]
        answer = client.get(BACK, params=stub.authorize(url))
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
        assert answer.headers["cache-control"] == "no-store"
        me = client.get("/users/me", headers=bearing(answer.json()["access_token"])).json()
        assert (me["email"], me["is_verified"]) == ("ann@example.com", True)
        (account,) = me["oauth_accounts"]
        assert UUID(account.pop("id"))
        assert account == {
            "oauth_name": "stub",
            "access_token": "",
            "expires_at": None,
            "refresh_token": None,
            "account_id": "subject-1",
            "account_email": "ann@example.com",
        }
        again = came(client, stub).json()["access_token"]
        assert client.get("/users/me", headers=bearing(again)).json()["id"] == me["id"]
    assert told == [("register", "ann@example.com"), *[("login", "ann@example.com", "200")] * 2]


def test_the_cookie_of_the_way_out(sqlite_url, clock, stub):
    """Its name and attributes are the documented ones; what was begun cannot be read in it."""
    app, _, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        answer = client.get(OUT)
        (cookie,) = answer.headers.get_list("set-cookie")
        name, *attributes = cookie.split("; ")
        assert name.startswith(f"{COOKIE}=")
        assert {one.lower() for one in attributes} == {"httponly", "max-age=3600", "path=/", "samesite=lax", "secure"}
        state = parse_qs(urlsplit(answer.json()["authorization_url"]).query)["state"][0]
        assert state not in cookie


def test_a_backend_with_a_cookie_answers_with_it(sqlite_url, clock, stub):
    """204 and the cookie of the backend; no redirect, and no token in any address."""
    app, _, _ = reached(sqlite_url, clock, stub, backends={"/auth/cookie": BACKENDS["/auth/cookie"]})
    with browser(app) as client:
        assert came(client, stub).status_code == 204
        assert client.get("/users/me").json()["email"] == "ann@example.com"


@pytest.mark.attack("login CSRF by a foreign answer")
@pytest.mark.asvs("10.2.1")
def test_an_answer_that_this_browser_never_asked_for(sqlite_url, clock, stub):
    """The documented codes: no code, no state, another's state, none of the cookie, used twice, too late, denied."""
    app, _, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client, browser(app) as other:
        brought = stub.authorize(left(client))
        refused(client.get(BACK), "Bad Request")
        refused(client.get(BACK, params={"error": "access_denied"}), "access_denied")
        refused(client.get(BACK, params={"error": "<b>Call us!</b>"}), "Bad Request")
        refused(client.get(BACK, params={"code": "x"}), "ACCESS_TOKEN_DECODE_ERROR")
        refused(client.get(BACK, params={**brought, "state": "a.b.c"}), "ACCESS_TOKEN_DECODE_ERROR")
        refused(client.get(BACK, params={**brought, "state": "A" * 43}), "OAUTH_INVALID_STATE")
        refused(other.get(BACK, params=brought), "OAUTH_INVALID_STATE")
        left(other)
        refused(other.get(BACK, params=brought), "OAUTH_INVALID_STATE")
        refused(client.get(BACK, params=[*brought.items(), ("state", brought["state"])]), "Bad Request")
        kept = client.cookies[COOKIE]
        assert client.get(BACK, params=brought).status_code == 200
        assert COOKIE not in client.cookies
        twice = client.get(BACK, params=brought, headers={"Cookie": f"{COOKIE}={kept}"})
        refused(twice, "OAUTH_INVALID_STATE")
        brought = stub.authorize(left(client))
        clock.advance(601)
        refused(client.get(BACK, params=brought), "ACCESS_TOKEN_ALREADY_EXPIRED")


@pytest.mark.attack("login CSRF by a foreign answer")
def test_an_answer_counts_on_the_route_it_was_asked_for(sqlite_url, clock, stub):
    """A sign-in links nothing, and a linking signs nobody in, whatever the address is that the answer was sent to."""
    app, auth, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        moved(client, auth, "bob@example.com")
        bob = signed_in(client, "bob@example.com")
        begun = stub.authorize(left(client))
        refused(client.get(LINKED, params=begun, headers=bob), "OAUTH_INVALID_STATE")
        begun = stub.authorize(left(client, LINK, headers=bob))
        refused(client.get(BACK, params=begun), "OAUTH_INVALID_STATE")


def _silent(stub: Any) -> None:
    stub.answers["/token"] = lambda handler: handler.say(500, b"a stack trace of theirs")


def _of_another_nonce(stub: Any) -> None:
    stub.claims = {"nonce": "another"}


def _for_another(stub: Any) -> None:
    stub.claims = {"aud": "another application"}


@pytest.mark.parametrize("wrong", [_silent, _of_another_nonce, _for_another])
def test_a_provider_that_fails_is_no_failure_of_ours(sqlite_url, clock, stub, wrong):
    """400 with a code that front ends know, and nothing of what the provider said."""
    app, _, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        wrong(stub)
        refused(came(client, stub), "ACCESS_TOKEN_DECODE_ERROR")


def test_a_provider_that_cannot_be_asked(sqlite_url, clock, stub):
    """Nor is the way out one: there is nowhere to send the browser."""
    app, _, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        stub.metadata = {"issuer": "https://evil.example"}
        refused(client.get(OUT), "ACCESS_TOKEN_DECODE_ERROR")


def test_a_login_without_an_address(sqlite_url, clock, stub):
    """The documented code."""
    app, _, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        stub.person = {"sub": "subject-1"}
        refused(came(client, stub), "OAUTH_NOT_AVAILABLE_EMAIL")


def test_somebody_who_was_switched_off(sqlite_url, clock, stub):
    """The documented code, as for a password."""
    app, auth, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        moved(client, auth, "boss@example.com", roles=("admin",))
        me = bearing(came(client, stub).json()["access_token"])
        who, boss = client.get("/users/me", headers=me).json()["id"], signed_in(client, "boss@example.com")
        assert client.patch(f"/users/{who}", json={"is_active": False}, headers=boss).status_code == 200
        refused(came(client, stub), "LOGIN_BAD_CREDENTIALS")


INSECURE = ("insecure_associate_by_email",)


@pytest.mark.attack("pre-hijacking: classic-federated merge", "pre-hijacking: unverified address elsewhere")
@pytest.mark.parametrize("by_email", [False, True])
@pytest.mark.parametrize("here", [False, True])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("documented", [(), INSECURE])
def test_an_account_of_the_same_address(sqlite_url, clock, stub, by_email, here, there, documented):
    """Only `associate_by_email` links it, where both sides proved the address, or without proof by name."""
    stub.person["email_verified"] = there
    app, auth, told = reached(sqlite_url, clock, stub, associate_by_email=by_email, documented=documented)
    with browser(app) as client:
        ann = moved(client, auth, "ann@example.com", verified=here)
        answer = came(client, stub)
        if by_email and (documented or (here and there)):
            me = client.get("/users/me", headers=bearing(answer.json()["access_token"])).json()
            assert (me["id"], me["is_verified"]) == (str(ann), here)
        else:
            refused(answer, "OAUTH_USER_ALREADY_EXISTS")
        signed_in(client, "ann@example.com")
    assert "register" not in {one[0] for one in told}


def test_linking_a_login(database_url, clock, stub):
    """Whoever is signed in links it and is shown with it; it leads to their account, whatever its address is."""
    app, auth, _ = reached(database_url, clock, stub)
    with browser(app) as client:
        bob = moved(client, auth, "bob@example.com")
        assert client.get(LINK).status_code == 401
        token = signed_in(client, "bob@example.com")
        begun = stub.authorize(left(client, LINK, headers=token))
        refused(client.get(LINKED, params=begun), "Unauthorized", 401)
        answer = client.get(LINKED, params=begun, headers=token)
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == str(bob)
        assert [one["account_id"] for one in answer.json()["oauth_accounts"]] == ["subject-1"]
        me = client.get("/users/me", headers=bearing(came(client, stub).json()["access_token"])).json()
        assert (me["id"], me["email"]) == (str(bob), "bob@example.com")


@pytest.mark.attack("account linking CSRF")
def test_a_login_is_linked_to_who_began(sqlite_url, clock, stub):
    """Not to another user of the same browser, and not while it leads to another account."""
    app, auth, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        for email in ("bob@example.com", "eve@example.com"):
            moved(client, auth, email)
        bob, eve = signed_in(client, "bob@example.com"), signed_in(client, "eve@example.com")
        begun = stub.authorize(left(client, LINK, headers=eve))
        refused(client.get(LINKED, params=begun, headers=bob), "Bad Request")
        assert client.get(LINKED, params=begun, headers=eve).status_code == 200
        begun = stub.authorize(left(client, LINK, headers=bob))
        refused(client.get(LINKED, params=begun, headers=bob), "OAUTH_USER_ALREADY_EXISTS")


def test_a_token_alone_links_nothing(sqlite_url, clock, stub):
    """A sign-in of a moment ago does; an old token does not, not even where changes need no recent sign-in."""
    documented = ("insecure_changes_without_recent_login",)
    app, auth, _ = reached(sqlite_url, clock, stub, documented=documented)
    safe, other, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        ann = moved(client, auth, "bob@example.com")
        old = bearing(old_token(ann, exp=int(clock()) + 86400))
        stale = signed_in(client, "bob@example.com")
        clock.advance(901)
        assert client.get(LINK, headers=stale).status_code == 200
        refused(client.get(LINK, headers=old), "Forbidden", 403)
    with browser(safe) as client:
        refused(client.get(LINK, headers=stale), "Forbidden", 403)
    assert other is not auth


def test_the_address_to_come_back_to_is_of_the_settings(sqlite_url, clock, stub):
    """Whatever the request says."""
    app, _, _ = reached(sqlite_url, clock, stub)
    with browser(app) as client:
        sent = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        assert parse_qs(urlsplit(left(client, headers=sent)).query)["redirect_uri"] == [f"{API}{BACK}"]


def client_of(stub, name="stub"):
    """Return what a client of httpx-oauth looks like that asks a provider for its metadata."""
    return SimpleNamespace(
        name=name,
        client_id=CLIENT,
        client_secret=SECRET,
        authorize_endpoint=f"{stub.url}/authorize",
        openid_configuration={"issuer": stub.url},
    )


def test_an_application_that_keeps_its_routers(sqlite_url, clock, stub):
    """The calls stay as they were; names of routes and ids of operations are the documented ones."""
    told: list[Any] = []
    backend = BACKENDS["/auth/jwt"]
    users = FastAPIUsers(lambda: Manager(told), [backend])
    app, client = FastAPI(), client_of(stub)
    page = "https://app.example.com/back"
    app.include_router(
        users.get_oauth_router(client, backend, "a state secret", associate_by_email=True), prefix="/auth/stub"
    )
    app.include_router(
        users.get_oauth_associate_router(client, UserRead, "a state secret", page, csrf_token_cookie_name="linking"),
        prefix="/auth/associate/stub",
    )
    _installed(app, users, sqlite_url, clock)
    ids = {
        path: item["get"]["operationId"] for path, item in app.openapi()["paths"].items() if path.startswith("/auth")
    }
    assert ids == {
        OUT: "oauth_stub_jwt_authorize_auth_stub_authorize_get",
        BACK: "oauth_stub_jwt_callback_auth_stub_callback_get",
        LINK: "oauth_associate_stub_authorize_auth_associate_stub_authorize_get",
        LINKED: "oauth_associate_stub_callback_auth_associate_stub_callback_get",
    }
    parameters = [one["name"] for one in app.openapi()["paths"][BACK]["get"]["parameters"]]
    assert parameters == ["code", "code_verifier", "state", "error"]
    with browser(app) as there:
        answer = came(there, stub)
        assert answer.status_code == 200, answer.text
        token = bearing(answer.json()["access_token"])
        url = left(there, LINK, headers=token)
        assert parse_qs(urlsplit(url).query)["redirect_uri"] == [page]
        assert "linking" in there.cookies
        stub.person = {**stub.person, "sub": "subject-2"}
        answer = there.get(LINKED, params=stub.authorize(url), headers=token)
        assert [one["account_id"] for one in answer.json()["oauth_accounts"]] == ["subject-1", "subject-2"]


@pytest.mark.attack("login CSRF by a foreign answer")
def test_one_page_passes_the_answers_of_all_ways_on(sqlite_url, clock, stub):
    """What was begun to link signs nobody in though it comes to the same page; nor does another backend's answer."""
    users, app, client = FastAPIUsers(BaseUserManager, list(BACKENDS.values())), FastAPI(), client_of(stub)
    page = "https://app.example.com/back"
    by_jwt, by_cookie = BACKENDS["/auth/jwt"], BACKENDS["/auth/cookie"]
    ways = {
        "/jwt": users.get_oauth_router(client, by_jwt),
        "/cookie": users.get_oauth_router(client, by_cookie),
        "/page": users.get_oauth_router(client_of(stub), by_jwt, redirect_url=page),
        "/link": users.get_oauth_associate_router(client, UserRead, redirect_url=page),
    }
    for prefix, router in ways.items():
        app.include_router(router, prefix=prefix)
    _installed(app, users, sqlite_url, clock)
    with browser(app) as there:
        begun = stub.authorize(left(there, "/jwt/authorize"))
        refused(there.get("/cookie/callback", params=begun), "OAUTH_INVALID_STATE")
        token = bearing(there.get("/jwt/callback", params=begun).json()["access_token"])
        begun = stub.authorize(left(there, "/link/authorize", headers=token))
        refused(there.get("/page/callback", params=begun), "OAUTH_INVALID_STATE")
        assert there.get("/link/callback", params=begun, headers=token).status_code == 200


class Base(DeclarativeBase):
    """The tables of an application."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """Its users, as FastAPI Users has them: with a hash that may not be missing, and without a name."""


def test_somebody_new_stands_in_the_table_of_the_application(sqlite_url, clock, stub):
    """With the columns it has, and a hash that no password leads to."""
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    users, app = FastAPIUsers(BaseUserManager, list(BACKENDS.values())), FastAPI()
    app.include_router(users.get_oauth_router(client_of(stub), BACKENDS["/auth/jwt"]), prefix="/auth/stub")
    app.include_router(users.get_auth_router(BACKENDS["/auth/jwt"]), prefix="/auth/jwt")
    _installed(app, users, sqlite_url, clock, users=MappedUsers(User))
    with browser(app) as there:
        answer = came(there, stub)
        assert answer.status_code == 200, answer.text
        with engine.connect() as connection:
            (row,) = connection.execute(select(User.email, User.is_verified, User.hashed_password)).all()
        assert tuple(row)[:2] == ("ann@example.com", True)
        form = {"username": "ann@example.com", "password": row.hashed_password}
        refused_login = there.post("/auth/jwt/login", data=form)
        assert (refused_login.status_code, refused_login.json()["detail"]) == (400, "LOGIN_BAD_CREDENTIALS")
    engine.dispose()


def _installed(app, users_of, url, clock, **given):
    auth = Rimlock(
        Settings(secrets=[OURS], database=url, create_tables=True, mail_url="none:", backend_url=API),
        profiles=[users_of.profile],
        native=False,
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        clock=clock,
        **given,
    )
    auth.install(app)


def preset(name, endpoint):
    """Return what a client of httpx-oauth for a well-known provider looks like."""
    return SimpleNamespace(name=name, client_id="x", client_secret="y", authorize_endpoint=endpoint)


@pytest.mark.parametrize(
    ("name", "endpoint", "issuer"),
    [
        ("google", "https://accounts.google.com/o/oauth2/v2/auth", "https://accounts.google.com"),
        ("github", "https://github.com/login/oauth/authorize", "https://github.com"),
        (
            "microsoft",
            "https://login.microsoftonline.com/our-tenant/oauth2/v2.0/authorize",
            "https://login.microsoftonline.com/our-tenant/v2.0",
        ),
    ],
)
def test_a_client_is_taken_for_what_it_is(name, endpoint, issuer):
    """By its name, and at the place it asks: one tenant stays the only one."""
    assert provider_behind(preset(name, endpoint)).issuer == issuer


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [("google", "https://login.example.com/authorize"), ("our-login", "https://login.example.com/authorize")],
)
def test_a_client_that_is_not_known_is_refused(name, endpoint):
    """Its name alone would let in whoever the provider of that name knows."""
    with pytest.raises(ConfigurationError, match="pass a Provider"):
        provider_behind(preset(name, endpoint))


def test_a_provider_that_is_not_set_up_keeps_the_application_from_starting(sqlite_url, clock, stub):
    """One that no setting knows, two of one name, and one that comes back by POST."""
    with pytest.raises(ConfigurationError, match="two different providers"):
        reached(sqlite_url, clock, stub, providers=[at(stub), at(stub, client_id="another")])
    for providers, why in ((["nobody"], "not set up"), ([at(stub, extra={"response_mode": "form_post"})], "by POST")):
        with pytest.raises(ConfigurationError, match=why):
            reached(sqlite_url, clock, stub, providers=providers)
