"""The page of the HTTP routes: from the OpenAPI document of our own routes, and from what their code says it raises.

Threat: a caller who handles the codes a page names, and gets another one.
Source: OpenAPI 3.1.0; RFC 9457.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from tables import table

from rimlock import Rimlock, Settings
from rimlock.core.access import ANYONE_KNOWN, Requirement
from rimlock.feature import Context
from rimlock.web.token_endpoint import token_routes

SAMPLE_SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the document."""

    method: str
    path: str
    operation: dict[str, Any]
    document: dict[str, Any]

    def fields(self) -> list[tuple[str, ...]]:
        """Return what the operation takes, a row for each parameter and member of the body."""
        return [*_parameters(self.operation, self.document), *_body(self.operation, self.document)]


@dataclass(frozen=True, slots=True)
class Run:
    """What answers an operation, and what it requires."""

    functions: list[Any]
    requirements: list[Requirement]


def http_page(errors: dict[str, Any]) -> str:
    """Return every route of ours with what it takes, answers and refuses with. `errors`: classes by their names."""
    document, endpoints = _own_routes()
    parts = [HEAD]
    for path, item in sorted(document["paths"].items()):
        for method, operation in sorted(item.items()):
            one = Route(method.upper(), path, operation, document)
            parts.append(_section(one, _codes(one, endpoints.get((one.method, path), Run([], [])), errors)))
    return "\n".join(parts)


def _own_routes() -> tuple[dict[str, Any], dict[tuple[str, str], Run]]:
    auth = Rimlock(Settings(secrets=[SAMPLE_SECRET]))
    app = FastAPI()
    auth.install(app)
    prefix = auth.settings.prefix
    routers = [token_routes(auth.features, auth.context), *(one.routes(auth.context) for one in auth.features)]
    endpoints = {
        (method, prefix + route.path): Run([route.endpoint], [*_requirements(route.dependant)])
        for router in routers
        for route in (router or APIRouter()).routes
        for method in getattr(route, "methods", ())
    }
    grants = [handler for feature in auth.features for handler in feature.grants(auth.context).values()]
    endpoints["POST", f"{prefix}/token"].functions.extend(grants)
    return app.openapi(), endpoints


def _requirements(dependant: Any) -> Iterator[Requirement]:
    for one in dependant.dependencies:
        if hasattr(one.call, "requirement"):
            yield one.call.requirement
        yield from _requirements(one)


def _section(one: Route, codes: list[str]) -> str:
    parts = [f"## {one.method} {one.path}\n", one.operation["summary"] + ".\n"]
    if told := one.operation.get("description", "").strip():
        parts.append(told + "\n")
    if rows := one.fields():
        parts.append(table(("field", "in", "type", ""), rows) + "\n")
    parts.append("Answers: " + "; ".join(_answers(one.operation, one.document)) + ".\n")
    if codes:
        parts.append("Refuses with:\n" + ",\n".join(f"[`{code}`](../errors/{code}.md)" for code in codes) + ".\n")
    return "\n".join(parts)


def _parameters(operation: dict[str, Any], document: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (f"`{one['name']}`", one["in"], _schema(one["schema"], document), "required" if one.get("required") else "")
        for one in operation.get("parameters", [])
    ]


def _body(operation: dict[str, Any], document: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _object(content["schema"], document)
        for name, one in schema.get("properties", {}).items():
            kind = "body or form" if name in rows else "form" if "form" in media else "body"
            told = [*(["required"] if name in schema.get("required", ()) else []), one.get("description", "")]
            rows[name] = (f"`{name}`", kind, _schema(one, document), ". ".join(filter(None, told)))
    return list(rows.values())


def _answers(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    found = []
    for status, answer in sorted(operation["responses"].items()):
        if status == UNTRUE:
            continue
        schemas = [content.get("schema", {}) for content in answer.get("content", {}).values()]
        names = [name for schema in schemas for name in _object(schema, document).get("properties", {})]
        found.append(f"{status}" + (" with " + ", ".join(f"`{name}`" for name in names) if names else ""))
    return found


def _object(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return the object a schema describes, also where null is allowed beside it."""
    schema = _resolved(schema, document)
    for one in schema.get("anyOf", ()):
        if "properties" in (inner := _resolved(one, document)):
            return inner
    return schema


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _schema(schema: dict[str, Any], document: dict[str, Any]) -> str:
    schema = _resolved(schema, document)
    if "anyOf" in schema:
        return " or ".join(_schema(one, document) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_schema(schema.get('items', {}), document)}"
    return str(schema.get("format") or schema.get("type", "any"))


def _codes(one: Route, run: Run, errors: dict[str, Any]) -> list[str]:
    """Return the codes a route may refuse with: by its credential, by its form, and by what its code says it raises."""
    found = {"invalid_request"} if one.fields() else set()
    if "requestBody" in one.operation:
        found.add("unsupported_media_type")
    if any(one.operation.get("security", [])):
        found |= {"credential_missing", "credential_invalid", "credential_expired"}
    for function in run.functions:
        found |= {errors[name].code for name in _raised(function, set(), errors)}
    found |= _demanded(run.requirements)
    return sorted(found - EVERYWHERE)


def _demanded(requirements: list[Requirement]) -> set[str]:
    """Return the codes of what a route requires."""
    found = set()
    if any(demand != ANYONE_KNOWN for demand in requirements):
        found.add("permission_missing")
    if any(demand.fresh is not None for demand in requirements):
        found.add("fresh_login_required")
    return found


def _raised(function: Any, seen: set[Any], errors: dict[str, Any]) -> set[str]:
    """Return the errors that a function makes, or says that it raises, and what it calls does, within Rimlock."""
    function = inspect.unwrap(function)
    home = function.__module__
    if function in seen or not home.startswith("rimlock.") or home == "rimlock.web.problems":
        return set()
    seen.add(function)
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    space = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    called = {found for node in nodes if inspect.isfunction(found := _named(node, space))}
    found = set().union(*(_raised(one, seen, errors) for one in called))
    swallowed = {name for node in nodes if _swallows(node) for name in _names_in(node.type)}
    made = {name for node in nodes if isinstance(node, ast.Call | ast.Raise) for name in _names_in(_maker(node))}
    spoken = (inspect.getdoc(function) or "").partition("Raises ")[2]
    return (found - swallowed) | ({*made, *re.findall(r"\w+", spoken)} & errors.keys())


def _swallows(node: Any) -> bool:
    return isinstance(node, ast.ExceptHandler) and node.name is None


def _maker(node: ast.Call | ast.Raise) -> ast.AST | None:
    return node.func if isinstance(node, ast.Call) else node.exc


def _names_in(node: ast.AST | None) -> set[str]:
    if isinstance(node, ast.Tuple):
        return {one.id for one in node.elts if isinstance(one, ast.Name)}
    return {node.id} if isinstance(node, ast.Name) else set()


def _named(node: ast.AST, space: dict[str, Any]) -> Any:
    """Return what a name, a `module.name` or a `context.part.method` stands for."""
    match node:
        case ast.Name(id=name):
            return space.get(name)
        case ast.Attribute(value=ast.Name(id=home), attr=name) if inspect.ismodule(space.get(home)):
            return getattr(space[home], name, None)
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="context"), attr=part), attr=name):
            return getattr(_classes().get(Context.__annotations__.get(part, "")), name, None)
    return None


@cache
def _classes() -> dict[str, type]:
    homes = [module for name, module in sorted(sys.modules.items()) if name.startswith("rimlock.")]
    return {name: kind for home in homes for name, kind in vars(home).items() if inspect.isclass(kind)}


UNTRUE = "422"
"""FastAPI writes this answer into every document; ours is a problem, with the code `invalid_request`."""

EVERYWHERE = {"auth_error", "body_too_large", "internal_error", "unavailable"}

HEAD = """# HTTP API

What stands under the prefix, `/auth` unless set. The application's own OpenAPI document (`/openapi.json`) shows it too,
beside its own routes. Bodies are JSON objects, at most 64 kB, without any field that is not listed. Times are ISO 8601
in UTC. Lists are paged: `?after=<next>&limit=<1..100>` answers `{"items": [...], "next": "…"}`; `next` is null at the
end. Every route may also answer [`body_too_large`](../errors/body_too_large.md),
[`unavailable`](../errors/unavailable.md) or [`internal_error`](../errors/internal_error.md).
"""
