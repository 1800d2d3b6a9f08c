"""The form of a sign-in, urlencoded or multipart, and errors in the shape FastAPI gives them.

Threat: a form of ten thousand fields or of another type that is read differently than meant; an answer that repeats
    the password that was sent.
Source: RFC 6749 section 4.3.2; RFC 7578 (multipart/form-data); FastAPI's `OAuth2PasswordRequestForm`.

Both kinds are read here, so that nothing needs to be installed for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from rimlock.core.errors import InvalidRequest
from rimlock.web.forms import LONGEST_VALUE, read_form
from rimlock.web.problems import UnsupportedMediaType

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["LOGIN_BODY", "LoginForm", "masked", "read_login"]

MOST_FIELDS = 20
_SECRET = frozenset({"password", "token", "client_secret"})


class LoginForm(BaseModel):
    """A sign-in. `username` is the address."""

    grant_type: Annotated[str | None, Field(pattern="^password$")] = None
    username: str
    password: Annotated[str, Field(repr=False)]
    scope: str = ""
    client_id: str | None = None
    client_secret: Annotated[str | None, Field(repr=False)] = None


async def read_login(request: Request) -> LoginForm:
    """Return the form. Raises RequestValidationError, as FastAPI does where something is missing."""
    fields = {name: value for name, value in (await _fields(request)).items() if value}
    try:
        return LoginForm.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError([_as_fastapi(one) for one in error.errors(include_url=False)]) from None


def masked(errors: Sequence[Any]) -> list[Any]:
    """Return what was found, without passwords and tokens that were sent."""
    return [{**one, "input": _masked(one["input"], one)} if "input" in one else one for one in errors]


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of either kind of form; none of any other body, as where a form is missing."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(request.headers["content-type"], await request.body())
    try:
        return await read_form(request)
    except UnsupportedMediaType:
        return {}


def _multipart(content_type: str, body: bytes) -> dict[str, str]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    parts = BytesParser(policy=HTTP).parsebytes(head + body)
    if not parts.is_multipart() or len(found := list(parts.iter_parts())) > MOST_FIELDS:
        raise InvalidRequest("The form cannot be read.")
    form: dict[str, str] = {}
    for part in found:
        name, value = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(value, bytes) or name in form or len(value) > LONGEST_VALUE:
            raise InvalidRequest("A field of the form is repeated, too long or has no name.")
        form[name] = value.decode("utf-8", errors="replace")
    return form


def _as_fastapi(error: Any) -> dict[str, Any]:
    """FastAPI says where, and repeats nothing for a field of a form that is missing."""
    sent = None if error["type"] == "missing" else error["input"]
    return {**error, "loc": ("body", *error["loc"]), "input": sent}


def _masked(sent: Any, error: Mapping[str, Any]) -> Any:
    """Where something is missing, what was sent is all the rest; else it is the value of the field itself."""
    if isinstance(sent, Mapping):
        return {name: None if name in _SECRET else value for name, value in sent.items()}
    secret = error["type"] != "missing" and _SECRET.intersection(error["loc"])
    return None if secret or not isinstance(sent, (str, int, float, bool, list, type(None))) else sent


LOGIN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {
                        "grant_type": {"anyOf": [{"type": "string", "pattern": "^password$"}, {"type": "null"}]},
                        "username": {"type": "string"},
                        "password": {"type": "string", "format": "password"},
                        "scope": {"type": "string", "default": ""},
                        "client_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                        "client_secret": {"anyOf": [{"type": "string"}, {"type": "null"}], "format": "password"},
                    },
                }
            }
        },
    }
}
