"""The dialect's routes about signing in, and about forgotten passwords.

Threat: an answer, or its time, that tells whether somebody has an account; a link that opens somebody else's.
Source: full-stack-fastapi-template (2026-08-21), `api/routes/login.py`; OWASP ASVS 5.0 V6.3.8, V6.4.3, V6.4.6.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from email.header import Header
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from rimlock.core import accounts, challenges
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import InvalidLogin, InvalidRequest, PasswordNotAccepted
from rimlock.core.messages import Message as Letter
from rimlock.core.proving import verdict
from rimlock.features.mail import MailFeature
from rimlock.features.password import logic as passwords
from rimlock.features.password.logic.knowing import find_account
from rimlock.features.password_recovery import logic as recovery
from rimlock.features.password_recovery.logic.asking import PURPOSE
from rimlock.profiles.fastapi_users.forms import LOGIN_BODY, read_login
from rimlock.profiles.full_stack_template.dialect import INACTIVE, Refused, admitted
from rimlock.profiles.full_stack_template.forms import Message, NewPassword, Token, UserPublic
from rimlock.profiles.full_stack_template.people import public
from rimlock.profiles.full_stack_template.placing import add
from rimlock.profiles.tokens import Caller
from rimlock.web.mounting import own_router
from rimlock.web.problems import SAFE_HEADERS

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.database import Transaction
    from rimlock.core.messages import Fact
    from rimlock.core.registering import Known
    from rimlock.feature import Context
    from rimlock.profiles.full_stack_template.desk import Desk

__all__ = ["login_routes"]

SENT = {"message": "If that email is registered, we sent a password recovery link"}
NOBODY = "The user with this username does not exist in the system."
NOT_SHOWN = "the-link-is-in-the-mail-alone"


def login_routes(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = own_router(prefix=desk.prefix, tags=["login"])
    _signing_in(router, desk)
    _forgotten(router, desk)
    _shown(router, desk)
    return router


def _signing_in(router: APIRouter, desk: Desk) -> None:
    async def login_access_token(request: Request) -> Response:
        form = await read_login(request)
        device = desk.context.device(request, True, "body")  # noqa: FBT003 - positional by the seam
        try:
            return admitted(desk.context, await passwords.sign_in(desk.context, form.username, form.password, device))
        except InvalidLogin:
            if desk.choices.insecure_tell_inactive and await _is_inactive(desk.context, form.username, form.password):
                raise Refused(400, INACTIVE, error="invalid_grant") from None
            raise

    async def test_token(caller: Any) -> Any:
        return public(caller.known.user, caller.known.account)

    add(router, "POST", "/login/access-token", login_access_token, response_model=Token, openapi_extra=LOGIN_BODY)
    types = {"caller": Annotated[Caller, Depends(desk.caller())]}
    add(router, "POST", "/login/test-token", test_token, types, response_model=UserPublic)


def _forgotten(router: APIRouter, desk: Desk) -> None:
    async def recover_password(email: str) -> dict[str, str]:
        with suppress(InvalidRequest):  # what is no address gets the answer that every address gets
            await recovery.request(desk.context, email)
        return SENT

    async def reset_password(body: NewPassword) -> dict[str, str]:
        try:
            await recovery.reset(desk.context, body.token, body.new_password)
        except ChallengeRefused:
            inactive = await desk.context.database.read(lambda tx: _of_inactive(desk.context, tx, body.token))
            raise Refused(400, INACTIVE if inactive else "Invalid token") from None
        except PasswordNotAccepted as error:
            named = tuple({**one, "name": "new_password"} for one in error.errors)
            raise PasswordNotAccepted(errors=named) from None
        return {"message": "Password updated successfully"}

    add(router, "POST", "/password-recovery/{email}", recover_password, response_model=Message)
    add(router, "POST", "/reset-password/", reset_password, response_model=Message)


def _shown(router: APIRouter, desk: Desk) -> None:
    async def recover_password_html_content(email: str, caller: Any) -> Response:  # noqa: ARG001 - a superuser
        context = desk.context
        known = await context.database.read(lambda tx: find_account(context, tx, email) if "@" in email else None)
        if known is None:
            raise Refused(404, NOBODY)
        if desk.choices.insecure_show_reset_links:
            letter = await context.database.write(lambda tx: _linked(context, tx, known))
        else:
            letter = _example(context, known)
        return _page(context, letter)

    types = {"caller": Annotated[Caller, Depends(desk.caller(superuser=True))]}
    path, told = "/password-recovery-html-content/{email}", {"response_class": HTMLResponse}
    add(router, "POST", path, recover_password_html_content, types, **told)


async def _is_inactive(context: Context, login: str, password: str) -> bool:
    """Say whether the password is right, and the account may not act."""
    known = await context.database.read(lambda tx: find_account(context, tx, login))
    if known is None or known.account.active:
        return False
    return await verdict(context.passwords, known.account, password) is not None


def _of_inactive(context: Context, tx: Transaction, token: str) -> bool:
    """Say whether a link is genuine and unused, and for somebody who may not act."""
    try:
        found = challenges.peek(tx, PURPOSE, token, now=context.now())
    except ChallengeRefused:
        return False
    account = accounts.standing(tx, found.user_id or "")
    return account is not None and not account.active


def _example(context: Context, known: Known) -> Letter:
    """Return the mail as they would get it, but for the secret in the link."""
    settings = context.settings
    link = f"{settings.pages_url}/reset-password?token={NOT_SHOWN}"
    facts: dict[str, Fact] = {"link": link, "minutes": int(settings.recovery_lifetime.total_seconds()) // 60}
    return Letter(kind="reset_password", to=known.user.email, facts=facts, locale=known.account.locale)


def _linked(context: Context, tx: Transaction, known: Known) -> Letter:
    """Return the mail with a link that works, and send it to nobody."""
    kept: list[Letter] = []

    def keep(tx: Transaction, message: Letter, *, void: bool = False) -> None:  # noqa: ARG001 - the seam's
        kept.append(message)

    recovery.mail_to(replace(context, post=keep), tx, known)
    return kept[0]


def _page(context: Context, message: Letter) -> Response:
    letter = MailFeature().writer(context).write(message)
    subject = letter.subject if letter.subject.isascii() else Header(letter.subject, "utf-8", 10_000).encode()
    return HTMLResponse(letter.html or "", headers={**SAFE_HEADERS, "subject": subject})
