"""The profile fields an application defines by a Pydantic model: shown in the document, checked when they are written.

Threat: a field nobody meant to keep; a value of another type that a page believes; an answer that repeats what
    was sent.
Source: OWASP ASVS 5.0 V2.2.1, V2.2.2, V15.3.3; design section 7.

What is kept is what was sent, so a value has to be of its type already: a number in quotes is refused and not turned.
"""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ValidationError

from rimlock.core.errors import ConfigurationError, InvalidRequest
from rimlock.core.normal import profile_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema, ErrorDetails

__all__ = ["NO_FIELDS", "ProfileFields"]

_SENTENCES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "This value has to be a string.",
    "string_too_short": "This value is too short.",
    "string_too_long": "This value is too long.",
}
_OF_THE_HOST = {"value_error", "assertion_error"}
"""Kinds of error whose sentence the application's own validators wrote."""

_LONGEST = 200
_MOST_NAMED = 20


class ProfileFields:
    """The fields of one installation; without a model any JSON object of bounded size is one."""

    def __init__(self, model: Any = None) -> None:
        """Raise ConfigurationError for what is no model."""
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise ConfigurationError("fields must be a Pydantic model, a class: ProfileFeature(fields=MyFields)")
        self.model: type[BaseModel] | None = model
        self.names = frozenset() if model is None else frozenset(_name(model, field) for field in model.model_fields)

    @property
    def whole(self) -> Any:
        """The type of a whole profile, in forms and answers."""
        return dict[str, Any] if self.model is None else Annotated[dict[str, Any], _Shown(self.model, partly=False)]

    @property
    def patch(self) -> Any:
        """The type of a merge patch: the same, and nothing is required."""
        return dict[str, Any] if self.model is None else Annotated[dict[str, Any], _Shown(self.model, partly=True)]

    def check(self, profile: Mapping[str, Any]) -> None:
        """Return when the profile is one of this application's. Raises InvalidRequest, which repeats no value."""
        plain = profile_form(profile)
        if self.model is None:
            return
        self._refuse_unknown(plain)
        try:
            self.model.model_validate_json(json.dumps(plain), strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[:_MOST_NAMED]
            raise InvalidRequest(errors=tuple(_told(one) for one in found)) from None

    def _refuse_unknown(self, profile: Mapping[str, Any]) -> None:
        """A model that says nothing about other fields would drop them, and they would be kept all the same."""
        if self.model is not None and self.model.model_config.get("extra") != "allow" and set(profile) - self.names:
            wrong = {"name": "profile", "code": "extra_forbidden", "detail": _SENTENCES["extra_forbidden"]}
            raise InvalidRequest(errors=(wrong,))


class _Shown:
    """Takes any object, and is shown in the document as the model."""

    def __init__(self, model: type[BaseModel], *, partly: bool) -> None:
        self._model = model
        self._partly = partly

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema of the model."""
        shown: dict[str, Any] = handler(self._model.__pydantic_core_schema__)
        if not self._partly:
            return shown
        loose = copy(handler.resolve_ref_schema(shown))
        loose.pop("required", None)
        return loose


def _name(model: type[BaseModel], field: str) -> str:
    alias = model.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else field


def _told(error: ErrorDetails) -> dict[str, str]:
    """Name the field and the rule. The sentence is fixed, or the application's own."""
    kind = error["type"]
    place = error["loc"][:1] if kind == "extra_forbidden" else error["loc"]
    own = str(error.get("ctx", {}).get("error", "")) if kind in _OF_THE_HOST else ""
    said = own if own.isprintable() and own else _SENTENCES.get(kind, "This value is not valid.")
    name = ".".join(["profile", *map(str, place)])[:100]
    return {"name": name, "code": kind, "detail": said[:_LONGEST]}


NO_FIELDS = ProfileFields()
