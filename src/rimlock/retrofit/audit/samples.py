"""A request that a route would take: its path with values that fit the types, and nothing else.

Threat: a probe that asks another route than it means to, or one with a value that names something real.
Source: starlette.convertors; ASGI 3.0 (connection scopes); RFC 9562 section 5.4 (a random UUID names nothing).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.convertors import CONVERTOR_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.types import Scope

    from rimlock.web.routing import Target

__all__ = ["scope_for"]

WORD = "rimlock-probe"
"""What stands for a text. No route is expected to have it as a literal segment."""

HOST = "rimlock-probe.invalid"

_PARAMETER = re.compile(r"\{([a-zA-Z_]\w*)(?::([a-zA-Z_]\w*))?\}")
_BEHIND = {"MOUNT", "FRONTEND"}


def scope_for(target: Target, declared: Any = None, headers: list[tuple[bytes, bytes]] | None = None) -> Scope:
    """Return the scope of a request to `target`, as a server makes it.

    `declared`: the framework's route; with it the values fit the types of the function's parameters as well.
    """
    host, path = _split(target.path)
    types = _types(declared)
    path = _filled(path, types) + (f"/{WORD}" if target.method in _BEHIND else "")
    path = path.replace("//", "/") if target.method in _BEHIND else path
    return _scope(target.method, path, _filled(host, {}) or HOST, headers or [])


def _split(template: str) -> tuple[str, str]:
    """Part the host name, for a route by host name, from the path."""
    if not template.startswith("//"):
        return "", template
    host, slash, path = template[2:].partition("/")
    return host, slash + path


def _scope(method: str, path: str, host: str, headers: list[tuple[bytes, bytes]]) -> Scope:
    socket = method == "WS"
    scope: Scope = {
        "type": "websocket" if socket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws" if socket else "http",
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "query_string": b"",
        "root_path": "",
        "client": ("127.0.0.1", 0),
        "server": (host, 80),
        "headers": [(b"host", host.encode(errors="replace")), (b"user-agent", WORD.encode()), *headers],
        "state": {},
    }
    if socket:
        return {**scope, "subprotocols": [], "extensions": {"websocket.http.response": {}}}
    return {**scope, "method": "GET" if method in {"ANY", *_BEHIND} else method}


def _filled(template: str, types: Mapping[str, Any]) -> str:
    return _PARAMETER.sub(lambda found: _value(found[2] or "str", types.get(found[1])), template)


def _value(convertor: str, field: Any) -> str:
    """Return the first value that the route's pattern and the function's type both take."""
    pattern = CONVERTOR_TYPES[convertor].regex if convertor in CONVERTOR_TYPES else ".+"
    fitting = [value for value in _candidates(field) if re.fullmatch(pattern, value)]
    return next((value for value in fitting if _takes(field, value)), fitting[0] if fitting else WORD)


def _candidates(field: Any) -> Iterator[str]:
    yield WORD
    yield str(uuid4())
    yield from ("2000000011", "7", "7.5", "2001-02-03", "2001-02-03T04:05:06Z", "04:05:06", "true")
    yield from _choices(getattr(getattr(field, "field_info", None), "annotation", None))
    yield from ("rimlockprobe", "a", "probe@rimlock.invalid", "https://rimlock.invalid/")


def _choices(annotation: Any) -> Iterator[str]:
    """Yield what an enumeration or a literal type offers."""
    for member in getattr(annotation, "__members__", {}).values():
        yield str(getattr(member, "value", member))
    for value in getattr(annotation, "__args__", ()):
        if isinstance(value, (str, int)):
            yield str(value)


def _types(declared: Any) -> dict[str, Any]:
    """Return the fields that FastAPI validates path parameters with, those of dependencies too."""
    waiting, found = [getattr(declared, "dependant", None)], {}
    for one in waiting:
        if one is None:
            continue
        found.update({field.alias: field for field in one.path_params})
        waiting.extend(one.dependencies)
    return found


def _takes(field: Any, value: str) -> bool:
    if field is None:
        return True
    try:
        return not field.validate(value, {}, loc=("path",))[1]
    except Exception:  # noqa: BLE001 - a validator of the host's own may do anything
        return False
