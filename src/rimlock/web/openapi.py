"""The host's OpenAPI document with our rules and our routes in it.

Threat: a document that says a route is open when it is not, or the other way round.
Source: OpenAPI 3.1.0 sections 4.8.27 and 4.8.30 (schemes, requirements); FastAPI's documented `app.openapi` hook.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

from rimlock.web.routing import RouteTable, Target

__all__ = ["SecurityOf", "fit_openapi", "security_schemes"]

Document = dict[str, Any]
SecurityOf = Callable[[Target], list[dict[str, list[str]]] | None]
"""What a route takes: alternatives, none of them for a public route, None to leave the operation as it stands."""

_CONVERTOR = re.compile(r"\{([^}:]+):[^}]*\}")
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_SCHEMA = "#/components/schemas/"


def security_schemes(token_url: str, key_headers: tuple[str, ...] = ()) -> Document:
    """Return our schemes: a bearer token, the password grant behind the Authorize button, and a header for each key.

    `token_url` is where the form is posted, relative to the server or absolute.
    """
    schemes: Document = {
        "RimlockBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "RimlockPassword": {"type": "oauth2", "flows": {"password": {"tokenUrl": token_url, "scopes": {}}}},
    }
    for header in key_headers:
        schemes[f"RimlockKey-{header}"] = {"type": "apiKey", "in": "header", "name": header}
    return schemes


def fit_openapi(
    app: Any,
    table: RouteTable,
    *,
    schemes: Document,
    security_of: SecurityOf,
    own: Sequence[tuple[str, Any]] = (),
    version: Callable[[], object] = lambda: 0,
) -> Callable[[], None]:
    """Wrap `app.openapi`, the host's own one too, and return what takes the wrapping off.

    The document is made again when `version()` or the host's own document changes. The host's is never written to.
    """
    before = vars(app).get("openapi")
    theirs: Callable[[], Document] = app.openapi
    made: list[Any] = [None, None, {}]

    def openapi() -> Document:
        document, now = theirs(), version()
        if made[0] is not document or made[1] != now:
            made[:] = [document, now, _fitted(document, table, schemes, security_of, own)]
        result: Document = made[2]
        return result

    def take_off() -> None:
        if vars(app).get("openapi") is openapi:
            vars(app).pop("openapi") if before is None else setattr(app, "openapi", before)

    app.openapi = openapi
    return take_off


def _fitted(
    document: Document, table: RouteTable, schemes: Document, security_of: SecurityOf, own: Sequence[tuple[str, Any]]
) -> Document:
    result = deepcopy(document)
    declared = result.setdefault("components", {}).setdefault("securitySchemes", {})
    for name, scheme in schemes.items():
        declared.setdefault(name, deepcopy(scheme))
    _secure(result, table, security_of)
    for prefix, ours in own:
        _merge(result, deepcopy(ours.openapi()), prefix)
    return result


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if method in _METHODS:
                yield method.upper(), path, operation


def _secure(document: Document, table: RouteTable, security_of: SecurityOf) -> None:
    """Add the alternatives of the rules to what each operation already declares."""
    targets: dict[tuple[str, str], Target] = {}
    for target in table.targets():
        targets.setdefault((target.method, _CONVERTOR.sub(r"{\1}", target.path)), target)
    for method, path, operation in _operations(document):
        target_of = targets.get(("GET" if method == "HEAD" else method, path)) or targets.get(("ANY", path))
        wanted = None if target_of is None else security_of(target_of)
        if wanted:
            kept = operation.get("security", [])
            operation["security"] = [*kept, *(one for one in wanted if one not in kept)]
        elif wanted is not None and "security" in document:
            operation.setdefault("security", [])


def _merge(document: Document, ours: Document, prefix: str) -> None:
    """Put our paths under the prefix. Where a name is taken, ours gives way."""
    _rename_schemas(document, ours)
    taken = {operation.get("operationId") for _, _, operation in _operations(document)}
    for _, _, operation in _operations(ours):
        if operation.get("operationId") in taken:
            operation["operationId"] = f"rimlock_{operation['operationId']}"
    for path, item in ours.get("paths", {}).items():
        document["paths"].setdefault(prefix + path, {}).update(item)
    for kind, components in ours.get("components", {}).items():
        known = document["components"].setdefault(kind, {})
        for name, component in components.items():
            known.setdefault(name, component)


def _rename_schemas(document: Document, ours: Document) -> None:
    theirs = document["components"].get("schemas", {})
    schemas = ours.get("components", {}).get("schemas", {})
    clashing = {name for name, schema in schemas.items() if theirs.get(name, schema) != schema}
    if not clashing:
        return
    ours["components"]["schemas"] = {f"Rimlock{n}" if n in clashing else n: s for n, s in schemas.items()}
    names = {_SCHEMA + name: f"{_SCHEMA}Rimlock{name}" for name in clashing}
    _redirect(ours, names)


def _redirect(node: Any, names: dict[str, str]) -> None:
    """Point every reference in `names` at its new place."""
    if isinstance(node, dict):
        if node.get("$ref") in names:
            node["$ref"] = names[node["$ref"]]
        for value in node.values():
            _redirect(value, names)
    elif isinstance(node, list):
        for value in node:
            _redirect(value, names)
