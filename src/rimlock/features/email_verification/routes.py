"""`/verify-email` and `/change-email`: asked for, looked at, confirmed; as JSON, and as pages with one button.

Threat: a link that a scanner of mails uses up; a secret in an address that is logged or handed on; an answer that tells
    whether somebody has an account.
Source: OWASP ASVS 5.0 V3.4.5, V3.5.1, V6.3.8, V14.2.1; RFC 9110 section 9.2.1 (GET is safe).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rimlock.core.access import Requirement
from rimlock.core.errors import AuthError, InvalidRequest
from rimlock.core.principal import Principal
from rimlock.features.email_verification import logic
from rimlock.features.email_verification.messages import TEXTS
from rimlock.web import pages
from rimlock.web.dependencies import OptionalPrincipal, require
from rimlock.web.mounting import own_router
from rimlock.web.presenting import UserAnswer, user_fields

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["verification_routes"]

SignedIn = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
Email = Annotated[str, Field(max_length=320, examples=["ann@example.com"])]
Password = Annotated[str, Field(max_length=4096, repr=False, json_schema_extra={"format": "password"})]
Token = Annotated[str, Query(max_length=200)]

SENT = "If this address can be written to about an account, a mail is on its way."


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AddressForm(_Form):
    """Whose link to mail."""

    email: Email


class TokenForm(_Form):
    """A link's secret."""

    token: Annotated[str, Field(max_length=200, repr=False)]


class ChangeForm(_Form):
    """The address to have, and the password once more."""

    email: Email
    current_password: Password


class SentAnswer(BaseModel):
    """The same for everybody."""

    detail: str


class VerifiedAnswer(BaseModel):
    """`already_verified`: the address was proven before."""

    status: Literal["verified", "already_verified"]


def verification_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = own_router(tags=["addresses"])
    _verifying(router, context)
    _changing(router, context)
    return router


def _verifying(router: APIRouter, context: Context) -> None:
    @router.post(
        "/verify-email/request", status_code=202, response_model=SentAnswer, summary="Have a link mailed that proves it"
    )
    async def ask(form: AddressForm) -> dict[str, Any]:
        await logic.request(context, form.email)
        return {"detail": SENT}

    @router.get("/verify-email", include_in_schema=False)
    async def look(token: Token = "") -> Response:
        return await _verify_page(context, token)

    @router.post(
        "/verify-email",
        response_model=VerifiedAnswer,
        openapi_extra=_TOKEN_BODY,
        summary="Prove an address by its link",
    )
    async def confirm(request: Request, principal: OptionalPrincipal) -> Response:
        sent, by_page = await pages.form_of(request)
        if by_page:
            return await _verified_page(context, sent)
        found = await logic.confirm(context, _token(sent), principal)
        already = isinstance(found, logic.AlreadyVerified)
        return JSONResponse({"status": "already_verified" if already else "verified"})


def _changing(router: APIRouter, context: Context) -> None:
    @router.post("/change-email", status_code=202, response_model=SentAnswer, summary="Begin to change the address")
    async def begin(form: ChangeForm, principal: SignedIn) -> dict[str, Any]:
        await logic.begin_change(context, principal, form.email, form.current_password)
        return {"detail": SENT}

    @router.get("/change-email", include_in_schema=False)
    async def look(token: Token = "") -> Response:
        return await _change_page(context, token)

    @router.post(
        "/change-email/confirm",
        response_model=UserAnswer,
        openapi_extra=_TOKEN_BODY,
        summary="Change the address by the link that was mailed to the new one",
    )
    async def confirm(request: Request) -> Response:
        sent, by_page = await pages.form_of(request)
        if by_page:
            return await _changed_page(context, sent)
        known = await logic.confirm_change(context, _token(sent))
        return JSONResponse(user_fields(known.user, known.account))


def _token(sent: dict[str, object]) -> str:
    try:
        return TokenForm.model_validate(sent).token
    except ValidationError:
        raise InvalidRequest("The body needs a token, and nothing else.") from None


async def _verify_page(context: Context, token: str) -> Response:
    language, texts = _texts(context)
    try:
        if not await logic.look(context, token):
            return _done(context, texts["already"])
    except AuthError as error:
        return _refused(context, error)
    shown = pages.sentence(texts["verify_why"]) + pages.button("verify-email", token, texts["verify"])
    return pages.answer(pages.page(language, texts["verify"], shown))


async def _verified_page(context: Context, sent: dict[str, object]) -> Response:
    try:
        found = await logic.confirm(context, _token(sent))
    except AuthError as error:
        return _refused(context, error)
    _, texts = _texts(context)
    return _done(context, texts["already" if isinstance(found, logic.AlreadyVerified) else "verified"])


async def _change_page(context: Context, token: str) -> Response:
    language, texts = _texts(context)
    try:
        email = await logic.look_at_change(context, token)
    except AuthError as error:
        return _refused(context, error)
    shown = pages.sentence(texts["change_why"]) + pages.sentence(email)
    shown += pages.button("change-email/confirm", token, texts["change"])
    return pages.answer(pages.page(language, texts["change"], shown))


async def _changed_page(context: Context, sent: dict[str, object]) -> Response:
    try:
        await logic.confirm_change(context, _token(sent))
    except AuthError as error:
        return _refused(context, error)
    return _done(context, _texts(context)[1]["changed"])


def _texts(context: Context) -> tuple[str, dict[str, str]]:
    language = pages.language_of(TEXTS, context.settings.locale)
    return language, TEXTS[language]


def _done(context: Context, text: str) -> Response:
    language, texts = _texts(context)
    return pages.answer(pages.page(language, texts["done"], pages.sentence(text)))


def _refused(context: Context, error: AuthError) -> Response:
    language, texts = _texts(context)
    shown = pages.page(language, texts["refused"], pages.sentence(error.detail, wrong=True))
    return pages.answer(shown, error.status, error.retry_after)


_TOKEN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {
                    "type": "object",
                    "required": ["token"],
                    "properties": {"token": {"type": "string", "maxLength": 200}},
                }
            }
            for kind in ("application/json", "application/x-www-form-urlencoded")
        },
    }
}
"""The routes read both kinds by themselves, so they describe them by themselves."""
