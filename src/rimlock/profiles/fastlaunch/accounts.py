"""The dialect's routes about accounts: made, proven, signed in to, refreshed, seen, changed, recovered.

Threat: a route that skips what the feature checks; an account told from none; a protected field that is changed.
Source: the LAUNCH contract; OWASP ASVS 5.0 V6.3.8, V15.3.3; RFC 6749 section 4.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rimlock.core import accounts, identities
from rimlock.core.access import Requirement
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import CredentialInvalid, InvalidRequest
from rimlock.core.principal import Principal
from rimlock.core.users import NewUser, RegistrationConflict
from rimlock.features.email_verification import logic as verification
from rimlock.features.password import logic as passwords
from rimlock.features.password_recovery import logic as recovery
from rimlock.features.profile import logic as profiles
from rimlock.features.sessions import logic as sessions
from rimlock.profiles.fastlaunch.dialect import Refused, admitted, triple
from rimlock.profiles.fastlaunch.forms import (
    DetailAnswer,
    EmailForm,
    MessageAnswer,
    NewUserForm,
    RefreshForm,
    ResetForm,
    TripleAnswer,
    UpdateForm,
    UserAnswer,
)
from rimlock.web.dependencies import require
from rimlock.web.forms import read_form
from rimlock.web.mounting import own_router
from rimlock.web.problems import SAFE_HEADERS

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.database import Transaction
    from rimlock.core.users import User
    from rimlock.feature import Context
    from rimlock.profiles.fastlaunch.desk import Desk

__all__ = ["account_routes"]

PROTECTED = ("id", "created_at", "is_admin", "hashed_password", "google_sub", "email")
OF_THE_USER = ("display_name", "avatar_url")
OF_THE_PROFILE = frozenset({"bio", "niche_preference"})
LONGEST_NUMBER = 18

SignedIn = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
Token = Annotated[str, Query(max_length=4096)]


def account_routes(context: Context, desk: Desk) -> APIRouter:
    """Return the routes."""
    router = own_router(prefix=desk.prefix, tags=["auth"])
    _making(router, context, desk)
    _tokens(router, context)
    _oneself(router, context)
    _forgotten(router, context)
    return router


def _making(router: APIRouter, context: Context, desk: Desk) -> None:
    @router.post("/create-user", status_code=201, response_model=MessageAnswer, summary="Make an account")
    async def create_user(form: NewUserForm) -> dict[str, str]:
        new = NewUser(email=form.email, username=form.username)
        try:
            await passwords.register(context, new, form.password, form.invitation)
        except RegistrationConflict:
            raise Refused(400, await _taken(context, desk, form.username)) from None
        return {"message": "User created. Check your email to verify."}

    @router.get("/verify-email", status_code=307, response_class=RedirectResponse, summary="Prove an address")
    async def verify_email(token: Token = "") -> Response:
        return _to_login(context, desk, await _proven(context, token))


async def _taken(context: Context, desk: Desk, username: str) -> str:
    """Say what is taken: one thing or the other, unless it may be told which."""
    if not desk.insecure_tell_taken:
        return "Username or email already taken."
    holder = await context.database.read(lambda tx: context.users.find(tx, username))
    return "Email already taken." if holder is None else "Username already taken."


async def _proven(context: Context, token: str) -> str:
    try:
        found = await verification.confirm(context, token)
    except ChallengeRefused:
        return "invalid_token"
    return "already_verified" if isinstance(found, verification.AlreadyVerified) else "email_verified"


def _to_login(context: Context, desk: Desk, detail: str) -> Response:
    page = desk.page(context, f"/login?detail={detail}")
    return RedirectResponse(page, status_code=307, headers=SAFE_HEADERS)


def _tokens(router: APIRouter, context: Context) -> None:
    @router.post("/token", response_model=TripleAnswer, openapi_extra=_PASSWORD_FORM, summary="Sign in")
    async def token(request: Request) -> Response:
        form = await read_form(request)
        missing = [name for name in ("username", "password") if not form.get(name)]
        if missing or form.get("grant_type", "password") not in {"", "password"}:
            raise InvalidRequest(errors=tuple(_needed(name) for name in missing or ["grant_type"]))
        device = context.device(request, True, "body")  # noqa: FBT003 - positional by the seam
        return admitted(context, await passwords.sign_in(context, form["username"], form["password"], device))

    @router.post("/refresh", response_model=TripleAnswer, summary="Get new tokens for a refresh token")
    async def refresh(form: RefreshForm) -> Response:
        return triple(context.entrance.renew(await sessions.renew(context, form.refresh_token)))


def _oneself(router: APIRouter, context: Context) -> None:
    @router.get("/get-user", response_model=UserAnswer, summary="See yourself")
    async def get_user(principal: SignedIn) -> dict[str, Any]:
        return await context.database.read(lambda tx: _seen(context, tx, principal))

    @router.patch("/update-user", summary="Change something about yourself")
    async def update_user(form: UpdateForm, principal: SignedIn) -> dict[str, Any]:
        sent = form.sent()
        for name in PROTECTED:
            if name in sent:
                raise Refused(400, f"Cannot update '{name}'.")
        try:
            me = await profiles.edit_me(context, principal, _patch(context, sent))
        except CredentialInvalid:
            raise Refused(404, "User not found") from None
        return _shown(context, me.user)


def _seen(context: Context, tx: Transaction, principal: Principal) -> dict[str, Any]:
    user_id = principal.user_id or ""
    user, account = context.users.get(tx, user_id), accounts.standing(tx, user_id)
    if user is None or account is None:
        raise CredentialInvalid
    elsewhere = account.password_hash is None and bool(identities.of_user(tx, user_id))
    return {
        "id": _id(user.id),
        "username": user.username,
        "email": user.email,
        "is_verified": account.verified,
        "is_oauth": elsewhere,
    }


def _id(user_id: str) -> int | str:
    """A number where the application's own table has numbers, as it was before."""
    return int(user_id) if user_id.isdecimal() and len(user_id) <= LONGEST_NUMBER else user_id


def _patch(context: Context, sent: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch; what the dialect does not know is passed over, as it always was."""
    of_profile = {name: value for name, value in sent.items() if name in _profile_names(context)}
    patch = {name: sent[name] for name in OF_THE_USER if name in sent}
    return {**patch, **({"profile": of_profile} if of_profile else {})}


def _shown(context: Context, user: User) -> dict[str, Any]:
    own = {name: getattr(user, name) or None for name in OF_THE_USER}
    return own | {name: user.profile.get(name) for name in sorted(_profile_names(context) | OF_THE_PROFILE)}


def _profile_names(context: Context) -> frozenset[str]:
    return context.fields.names or OF_THE_PROFILE


def _forgotten(router: APIRouter, context: Context) -> None:
    @router.post("/request-password-reset", response_model=DetailAnswer, summary="Have a link mailed")
    async def request_password_reset(form: EmailForm) -> dict[str, str]:
        await recovery.request(context, form.email)
        return {"detail": "If the email exists, a reset link has been sent."}

    @router.post("/reset-password", response_model=DetailAnswer, summary="Choose another password by a link")
    async def reset_password(form: ResetForm) -> dict[str, str]:
        try:
            await recovery.reset(context, form.token, form.new_password)
        except ChallengeRefused:
            raise Refused(400, "Invalid or expired token.") from None
        return {"detail": "Password reset successful"}


def _needed(name: str) -> dict[str, str]:
    said = "Field required" if name != "grant_type" else "Only the grant type password is taken."
    return {"name": name, "code": "missing" if name != "grant_type" else "value_error", "detail": said}


_PASSWORD_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["password"]},
                        "username": {"type": "string"},
                        "password": {"type": "string", "format": "password"},
                        "scope": {"type": "string"},
                    },
                }
            }
        },
    }
}
