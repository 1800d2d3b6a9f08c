"""The host's OpenAPI document shows the rules and our routes, and stays the host's otherwise."""

from __future__ import annotations

import copy

import pytest
from fastapi import APIRouter, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyHeader
from pydantic import create_model
from starlette.testclient import TestClient

from rimlock.web.openapi import fit_openapi, security_schemes
from rimlock.web.routing import RouteTable

pytestmark = pytest.mark.req("L6")

BEARER = {"RimlockBearer": []}
KEY = {"RimlockKey-X-API-Key": []}
HostUser = create_model("User", mine=(int, ...))
OwnUser = create_model("User", ours=(str, ...))
SCHEMES = security_schemes("/auth/token", ("X-API-Key",))


def fitted(app, security_of, **options):
    """Fit the document and return it as a caller gets it."""
    fit_openapi(app, RouteTable(app), schemes=SCHEMES, security_of=security_of, **options)
    return TestClient(app).get("/openapi.json").json()


def test_operations_show_the_alternatives_of_their_rule():
    """Included routes, converters and alternatives: each operation lists what its route takes."""
    app, router = FastAPI(), APIRouter(prefix="/things")
    router.get("/{n:int}")(lambda n: n)
    router.post("/{n:int}")(lambda n: n)
    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    rules = {("GET", "/v1/things/{n:int}"): [BEARER, KEY], ("POST", "/v1/things/{n:int}"): []}
    document = fitted(app, lambda target: rules.get(target.key))
    paths = document["paths"]
    assert paths["/v1/things/{n}"]["get"]["security"] == [BEARER, KEY]
    assert "security" not in paths["/v1/things/{n}"]["post"]
    assert "security" not in paths["/v2/things/{n}"]["get"]
    assert document["components"]["securitySchemes"] == SCHEMES


def test_the_authorize_button_has_what_it_needs():
    """The password flow names the token route, so /docs can sign in."""
    schemes = fitted(FastAPI(), lambda target: None)["components"]["securitySchemes"]
    assert schemes["RimlockPassword"]["flows"]["password"]["tokenUrl"] == "/auth/token"
    assert schemes["RimlockBearer"]["scheme"] == "bearer"


def test_what_the_host_declares_is_kept():
    """The host's own scheme and requirement stay, ours stand beside them as alternatives."""
    app = FastAPI()
    app.get("/x", dependencies=[Security(APIKeyHeader(name="X-Old"))])(lambda: 1)
    document = fitted(app, lambda target: [BEARER])
    assert document["paths"]["/x"]["get"]["security"] == [{"APIKeyHeader": []}, BEARER]
    assert "APIKeyHeader" in document["components"]["securitySchemes"]


def test_a_public_route_is_marked_where_the_document_demands_something_of_all():
    """With a requirement at the top of the document, an open route says that it needs none."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    app.get("/y")(lambda: 1)

    def custom():
        return {**get_openapi(title="t", version="1", routes=app.routes), "security": [{"old": []}]}

    app.openapi = custom
    document = fitted(app, lambda target: [] if target.path == "/x" else None)
    assert document["paths"]["/x"]["get"]["security"] == []
    assert "security" not in document["paths"]["/y"]["get"]


def test_the_hosts_document_is_not_written_to_and_unfitting_restores_it():
    """The host's cached document stays as it was, its own `openapi` function too."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    before = copy.deepcopy(app.openapi())
    take_off = fit_openapi(app, RouteTable(app), schemes=SCHEMES, security_of=lambda target: [BEARER])
    assert app.openapi() != before
    take_off()
    assert app.openapi() == before
    assert "openapi" not in vars(app)


def test_the_document_follows_the_rules_and_the_routes():
    """A new version of the rules or a late route makes it again; nothing changed, it is the same object."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    state = {"version": 1, "security": [BEARER]}
    fit_openapi(
        app,
        RouteTable(app),
        schemes=SCHEMES,
        security_of=lambda target: state["security"],
        version=lambda: state["version"],
    )
    first = app.openapi()
    assert app.openapi() is first
    state.update(version=2, security=[KEY])
    assert app.openapi()["paths"]["/x"]["get"]["security"] == [KEY]


def test_our_routes_are_merged_under_the_prefix_and_give_way_to_the_hosts_names():
    """Schemas and operation ids of the host keep their names; ours that clash are renamed, references too."""
    app, own = FastAPI(), FastAPI()

    @app.post("/users", operation_id="create")
    def host_create(user: HostUser):
        return 1

    @own.post("/register", operation_id="create")
    def own_create(user: OwnUser):
        return 1

    before = copy.deepcopy(app.openapi())
    document = fitted(app, lambda target: None, own=[("/auth", own)])
    assert document["paths"]["/users"] == before["paths"]["/users"]
    assert document["components"]["schemas"]["User"] == before["components"]["schemas"]["User"]
    register = document["paths"]["/auth/register"]["post"]
    assert register["operationId"] == "rimlock_create"
    reference = register["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert document["components"]["schemas"][reference.rpartition("/")[2]]["properties"].keys() == {"ours"}
