"""`/forgot-password` and `/reset-password`: asked for, looked at, done; as JSON, and as a page with one button.

Threat: a link that a scanner of mails uses up; a secret in an address that is logged or handed on; an answer that tells
    whether somebody has an account, or repeats a password.
Source: OWASP ASVS 5.0 V3.4.5, V3.5.1, V6.3.8, V14.2.1; RFC 9110 section 9.2.1 (GET is safe).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from rimlock.core.errors import AuthError, InvalidRequest, PasswordNotAccepted
from rimlock.features.password_recovery import logic
from rimlock.features.password_recovery.messages import TEXTS, password_fields
from rimlock.web import pages
from rimlock.web.mounting import own_router

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["recovery_routes"]

SENT = "If this address can be written to about an account, a mail is on its way."
Token = Annotated[str, Query(max_length=200)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ForgottenForm(_Form):
    """Whose link to mail."""

    email: Annotated[str, Field(max_length=320, examples=["ann@example.com"])]


class ResetForm(_Form):
    """A link's secret and the password to have. `everything`: API keys and logins elsewhere end as well."""

    token: Annotated[str, Field(max_length=200, repr=False)]
    password: Annotated[str, Field(max_length=4096, repr=False, json_schema_extra={"format": "password"})]
    everything: bool = False


class SentAnswer(BaseModel):
    """The same for everybody."""

    detail: str


def recovery_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = own_router(tags=["password"])

    @router.post(
        "/forgot-password", status_code=202, response_model=SentAnswer, summary="Have a link mailed to choose another"
    )
    async def forgotten(form: ForgottenForm) -> dict[str, Any]:
        await logic.request(context, form.email)
        return {"detail": SENT}

    @router.get("/reset-password", include_in_schema=False)
    async def look(token: Token = "") -> Response:
        return await _form_page(context, token)

    @router.post(
        "/reset-password",
        status_code=204,
        openapi_extra=_RESET_BODY,
        summary="Choose another password by the link that was mailed",
    )
    async def reset(request: Request) -> Response:
        sent, by_page = await pages.form_of(request)
        if by_page:
            return await _done_page(context, sent)
        form = _form(sent)
        await logic.reset(context, form.token, form.password, everything=form.everything)
        return Response(status_code=204)

    return router


def _form(sent: dict[str, object]) -> ResetForm:
    try:
        return ResetForm.model_validate(sent)
    except ValidationError as error:
        named = {str(one["loc"][0]) for one in error.errors(include_input=False)} & set(ResetForm.model_fields)
        found = tuple({"name": name, "code": "invalid", "detail": "This value is not valid."} for name in sorted(named))
        raise InvalidRequest(errors=found) from None


async def _form_page(context: Context, token: str, problems: tuple[str, ...] = (), status: int = 200) -> Response:
    language, texts = _texts(context)
    try:
        known = await logic.look(context, token)
    except AuthError as error:
        return _refused(context, error)
    told = "".join(pages.sentence(one, wrong=True) for one in problems)
    shown = told + pages.button("reset-password", token, texts["reset"], password_fields(texts, known.user.email))
    return pages.answer(pages.page(language, texts["reset"], shown), status)


async def _done_page(context: Context, sent: dict[str, object]) -> Response:
    """Answer a browser: a page for success, the form again for what can be mended. The password is never put in."""
    language, texts = _texts(context)
    token, password = str(sent.get("token", "")), str(sent.get("password", ""))
    if not password:
        return await _form_page(context, token, (texts["incomplete"],), 422)
    try:
        await logic.reset(context, token, password, everything=sent.get("everything") == "yes")
    except PasswordNotAccepted as error:
        return await _form_page(context, token, tuple(one["detail"] for one in error.errors), error.status)
    except AuthError as error:
        return _refused(context, error)
    return pages.answer(pages.page(language, texts["done"], pages.sentence(texts["changed"])))


def _texts(context: Context) -> tuple[str, dict[str, str]]:
    language = pages.language_of(TEXTS, context.settings.locale)
    return language, TEXTS[language]


def _refused(context: Context, error: AuthError) -> Response:
    language, texts = _texts(context)
    shown = pages.page(language, texts["refused"], pages.sentence(error.detail, wrong=True))
    return pages.answer(shown, error.status, error.retry_after)


_RESET_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {
                    "type": "object",
                    "required": ["token", "password"],
                    "properties": {
                        "token": {"type": "string", "maxLength": 200},
                        "password": {"type": "string", "format": "password"},
                        "everything": {"type": "boolean", "default": False},
                    },
                }
            }
            for kind in ("application/json", "application/x-www-form-urlencoded")
        },
    }
}
"""The route reads both kinds by itself, so it describes them by itself."""
