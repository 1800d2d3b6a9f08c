"""What route functions ask for: the same answers on gated and ungated routes, over HTTP and WebSocket."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from access.host import KEY, Keys, ask, bearer, change, end_session, eventually, fitted, foreign, forged
from rimlock import (
    ConfigurationError,
    CurrentPrincipal,
    CurrentUser,
    OptionalPrincipal,
    OptionalUser,
    Principal,
    Rule,
    Stage,
    fresh,
    require_any_role,
    require_permission,
    require_role,
    require_scope,
)
from rimlock.core import accounts
from rimlock.testing import count_statements, sign_in

pytestmark = pytest.mark.req("L8")
GATES = [(), (Rule(pattern="/**", stage=Stage.OPTIONAL),), (Rule(pattern="/**", stage=Stage.OBSERVE),)]
GATES = [*GATES, (Rule(pattern="/**", stage=Stage.REQUIRED),)]
gated = pytest.mark.parametrize("rules", GATES, ids=["open", "optional", "observe", "required"])


def app_of_dependencies() -> FastAPI:
    """Every dependency, on sync and async routes and on a WebSocket."""
    app = FastAPI()

    @app.get("/principal")
    def principal(who: CurrentPrincipal):
        return who.subject

    @app.get("/principal/async")
    async def principal_later(who: CurrentPrincipal):
        return who.subject

    @app.get("/user")
    def user(who: CurrentUser):
        return who.email

    @app.get("/user/async")
    async def user_later(who: CurrentUser):
        return who.email

    @app.get("/perhaps")
    def perhaps(who: OptionalPrincipal):
        return who and who.subject

    @app.get("/perhaps/user")
    async def perhaps_user(who: OptionalUser):
        return who and who.email

    @app.websocket("/live")
    async def live(socket: WebSocket, who: CurrentUser):
        await socket.accept()
        await socket.send_json(who.email)
        await socket.close()

    return app


@gated
def test_the_strict_dependencies_yield_the_signed_in_user_or_401(database_url, rules):
    """Sync, async and WebSocket; nobody, a forged and a foreign token are 401 with a challenge."""
    app = app_of_dependencies()
    auth = fitted(app, database_url, rules=rules)
    paths = ["/principal", "/principal/async", "/user", "/user/async", "/live"]
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        seen = [ask(client, path, ann.headers)[1] for path in paths]
        assert seen == [ann.user.id, ann.user.id, ann.user.email, ann.user.email, ann.user.email]
        for bad in ({}, bearer(forged(ann.access_token)), bearer(foreign(auth.context.now()))):
            answers = [ask(client, path, bad) for path in paths]
            assert [status for status, _, _ in answers] == [401] * 5
            assert all(challenge.startswith('Bearer realm="rimlock"') for _, _, challenge in answers)


@pytest.mark.parametrize("rules", GATES[:3], ids=["open", "optional", "observe"])
def test_the_optional_dependencies_yield_nobody_without_a_credential_and_refuse_a_bad_one(sqlite_url, rules):
    """None for none, the user for a good one, 401 for one of ours that is bad; a foreign token is none of ours."""
    app = app_of_dependencies()
    auth = fitted(app, sqlite_url, rules=rules)
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        for path, known in [("/perhaps", ann.user.id), ("/perhaps/user", ann.user.email)]:
            assert ask(client, path)[:2] == (200, None)
            assert ask(client, path, bearer(foreign(auth.context.now())))[:2] == (200, None)
            assert ask(client, path, ann.headers)[:2] == (200, known)
            assert ask(client, path, bearer(forged(ann.access_token)))[0] == 401


def test_a_service_key_is_a_principal_and_no_user(sqlite_url):
    """CurrentPrincipal yields the key, OptionalUser nobody, CurrentUser refuses."""
    app = app_of_dependencies()
    fitted(app, sqlite_url, features=[Keys()])
    with TestClient(app) as client:
        assert ask(client, "/principal", {"X-API-Key": KEY})[:2] == (200, "key:k1")
        assert ask(client, "/perhaps/user", {"X-API-Key": KEY})[:2] == (200, None)
        assert ask(client, "/user", {"X-API-Key": KEY}) == (
            401,
            {"detail": "This route needs a user, not a service key."},
            'Bearer realm="rimlock"',
        )


ROLES = {
    "editor": ["notes:write"],
    "analyst": ["lab:*"],
    "admin": ["*"],
    "odd": ["lab"],
}


def app_of_requirements() -> FastAPI:
    """Roles, permissions and scopes, asked for in the three ways FastAPI has."""
    app = FastAPI()

    @app.get("/role", dependencies=[require_role("editor")])
    def role():
        return "in"

    @app.get("/any-role")
    async def any_role(who: Annotated[Principal, require_any_role("editor", "analyst")]):
        return who.subject

    @app.get("/permission", dependencies=[require_permission("lab:read", "lab:write")])
    def permission():
        return "in"

    @app.get("/scope")
    def scope(_who: Principal = require_scope("read")):  # noqa: B008 - the older way to write it
        return "in"

    @app.websocket("/live")
    async def live(socket: WebSocket, _who: Annotated[Principal, require_role("editor")]):
        await socket.accept()
        await socket.send_json("in")
        await socket.close()

    return app


@gated
@pytest.mark.parametrize(
    "role, role_path, any_role, permission",
    [("editor", 200, 200, 403), ("analyst", 403, 200, 200), ("admin", 403, 403, 200), ("odd", 403, 403, 403)],
)
def test_roles_and_permissions_are_dependencies(sqlite_url, rules, role, role_path, any_role, permission):
    """`*` allows everything and `area:*` its area; a permission is no role and an area is no permission."""
    app = app_of_requirements()
    auth = fitted(app, sqlite_url, rules=rules, roles=ROLES)
    with TestClient(app) as client:
        headers = sign_in(auth, client, roles=[role]).headers
        assert [ask(client, path, headers)[0] for path in ("/role", "/any-role", "/permission")] == [
            role_path,
            any_role,
            permission,
        ]
        assert ask(client, "/live", headers)[0] == (101 if role_path == 200 else 403)
        assert [ask(client, path)[0] for path in ("/role", "/any-role", "/permission", "/scope", "/live")] == [401] * 5


def test_a_scope_is_the_credentials_and_not_the_users(sqlite_url):
    """The key that has the scope passes; an administrator's token without it does not."""
    app = app_of_requirements()
    auth = fitted(app, sqlite_url, features=[Keys()], roles=ROLES)
    with TestClient(app) as client:
        assert ask(client, "/scope", {"X-API-Key": KEY})[0] == 200
        status, _, challenge = ask(client, "/scope", sign_in(auth, client, roles=["admin"]).headers)
        assert (status, "insufficient_scope" in challenge) == (403, True)


def test_a_requirement_of_nothing_is_refused_where_it_is_written():
    """require_any_role() without a role would let everybody in."""
    for empty in (require_any_role, require_permission, require_scope):
        with pytest.raises(TypeError, match="at least one"):
            empty()


@gated
def test_a_fresh_sign_in_ages_to_the_second(sqlite_url, clock, rules):
    """fresh(10) passes at 600 seconds and refuses at 601 with fresh_login_required; a key is never fresh."""
    app = FastAPI()
    app.get("/danger", dependencies=[fresh(10)])(lambda: "done")
    auth = fitted(app, sqlite_url, rules=rules, features=[Keys()], clock=clock)
    with TestClient(app) as client:
        headers = sign_in(auth, client).headers
        clock.advance(600)
        assert client.get("/danger", headers=headers).status_code == 200
        clock.advance(1)
        refused = client.get("/danger", headers=headers)
        assert (refused.status_code, refused.json()) == (403, {"detail": "Sign in again to do this."})
        assert client.get("/danger", headers={"X-API-Key": KEY}).status_code == 403


def test_an_error_of_a_dependency_has_the_hosts_own_form(sqlite_url):
    """The host's handler of HTTPException shapes it, and may read the stable code."""
    app = app_of_requirements()

    @app.exception_handler(HTTPException)
    async def envelope(_request, error):
        return JSONResponse({"error": getattr(error, "code", "?")}, status_code=error.status_code)

    auth = fitted(app, sqlite_url)
    with TestClient(app) as client:
        assert client.get("/role").json() == {"error": "credential_missing"}
        assert client.get("/role", headers=sign_in(auth, client).headers).json() == {"error": "permission_missing"}


def test_openapi_shows_that_a_route_asks(sqlite_url):
    """A dependency and a required rule both appear as security; an open route has none."""
    app = app_of_dependencies()
    app.get("/open")(lambda: "in")
    app.get("/ruled")(lambda: "in")
    fitted(app, sqlite_url, rules=[Rule(pattern="/ruled", stage=Stage.REQUIRED)])
    document = app.openapi()
    security = {path: document["paths"][path]["get"].get("security") for path in document["paths"] if path != "/auth"}
    assert {"RimlockBearer": []} in security["/principal"]
    assert {"RimlockBearer": []} in security["/user/async"]
    assert {"RimlockBearer": []} in security["/ruled"]
    assert not security["/open"]
    assert document["components"]["securitySchemes"]["RimlockBearer"]["scheme"] == "bearer"


@gated
def test_a_principal_costs_no_statement_and_a_user_one(sqlite_url, rules):
    """Also on the first request with a new token; the second request for the user costs nothing."""
    app = app_of_dependencies()
    auth = fitted(app, sqlite_url, rules=rules)
    with TestClient(app) as client:
        headers = sign_in(auth, client).headers
        counts = []
        for path in ("/principal", "/principal/async", "/user", "/user/async", "/live"):
            with count_statements(auth) as statements:
                assert ask(client, path, headers)[0] in {200, 101}
            counts.append(statements.count)
    assert counts == [0, 0, 1, 0, 0]


@pytest.mark.req("L5")
def test_a_change_of_standing_is_in_force_at_the_next_request(sqlite_url):
    """A role taken away, a raised epoch, a disabled account and a logout, each exactly, on warm caches."""
    app = app_of_requirements()
    auth = fitted(app, sqlite_url)
    with TestClient(app) as client:

        def visit(visitor):
            return [ask(client, path, visitor.headers)[0] for path in ("/role", "/any-role", "/live")]

        ann = sign_in(auth, client, roles=["editor"])
        assert visit(ann) == visit(ann) == [200, 200, 101]
        change(auth, client, lambda tx: accounts.set_roles(tx, ann.user.id, ["analyst"], now=1))
        assert visit(ann) == [401] * 3
        ann = sign_in(auth, client)
        assert visit(ann) == [403, 200, 403]
        change(auth, client, lambda tx: accounts.raise_epoch(tx, ann.user.id, now=1))
        assert visit(ann) == [401] * 3
        ann = sign_in(auth, client, roles=["editor"])
        assert visit(ann) == [200, 200, 101]
        change(auth, client, lambda tx: accounts.set_active(tx, ann.user.id, active=False, now=1))
        assert visit(ann) == [401] * 3
        change(auth, client, lambda tx: accounts.set_active(tx, ann.user.id, active=True, now=1))
        assert visit(ann) == [401] * 3
        ann, other = sign_in(auth, client), sign_in(auth, client)
        end_session(auth, client, ann)
        assert visit(ann) == [401] * 3
        assert visit(other) == [200, 200, 101]


@pytest.mark.req("L5", "N8")
@pytest.mark.parametrize("deed", ["roles", "disable", "epoch", "logout"])
def test_another_instance_hears_within_a_second(database_url, deed):
    """What one process changes, a second one with warm caches refuses: at once on SQLite, soon on PostgreSQL."""
    here, there = app_of_requirements(), app_of_requirements()
    first, second = fitted(here, database_url), fitted(there, database_url)
    deeds = {
        "roles": lambda tx: accounts.set_roles(tx, ann.user.id, ["analyst"], now=1),
        "disable": lambda tx: accounts.set_active(tx, ann.user.id, active=False, now=1),
        "epoch": lambda tx: accounts.raise_epoch(tx, ann.user.id, now=1),
    }
    with TestClient(here) as one, TestClient(there) as two:
        ann = sign_in(first, one, roles=["editor"])
        warm = [two.get("/role", headers=ann.headers).status_code for _ in range(3)]
        if deed == "logout":
            end_session(first, one, ann)
        else:
            change(first, one, deeds[deed])
        ask_there = lambda: two.get("/role", headers=ann.headers).status_code
        patience = 0.0 if second.database.dialect == "sqlite" else 1.0
        assert warm == [200] * 3
        assert eventually(ask_there, 401, patience) == 401


def test_a_user_row_that_was_read_is_read_again_after_a_change(sqlite_url):
    """The remembered row is dropped when the journal names its user, though its five seconds are not over."""
    app = app_of_dependencies()
    auth = fitted(app, sqlite_url)
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        assert client.get("/user", headers=ann.headers).json() == "ann@example.com"

        def rename(tx):
            auth.context.users.change(tx, ann.user.id, {"email": "anna@example.com"}, 1)
            accounts.set_verified(tx, ann.user.id, verified=True, now=1)

        change(auth, client, rename)
        assert client.get("/user", headers=ann.headers).json() == "anna@example.com"


def test_a_deleted_user_is_nobody_though_the_token_is_genuine(sqlite_url):
    """Where the row is gone and the journal has forgotten why, CurrentUser refuses."""
    app = app_of_dependencies()
    auth = fitted(app, sqlite_url)
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        change(auth, client, lambda tx: auth.context.users.delete(tx, ann.user.id))
        assert client.get("/user", headers=ann.headers).status_code == 401


@pytest.mark.parametrize("path", ["/principal", "/user", "/perhaps", "/perhaps/user"])
def test_without_install_the_mistake_is_named(path):
    """A dependency in an application that was never fitted says what to call; it lets nobody in."""
    app = app_of_dependencies()
    with TestClient(app) as client, pytest.raises(ConfigurationError, match=r"call auth\.install\(app\)"):
        client.get(path)


def test_a_dependency_can_be_replaced_in_a_hosts_tests(sqlite_url):
    """The aliases are plain dependencies: an override of FastAPI's own kind reaches them."""
    app = app_of_dependencies()
    auth = fitted(app, sqlite_url)
    ask_user = next(part for part in CurrentUser.__metadata__ if isinstance(part, type(Depends())))
    with TestClient(app) as client:
        app.dependency_overrides[ask_user.dependency] = lambda: sign_in(auth).user
        assert client.get("/user").json() == "ann@example.com"
