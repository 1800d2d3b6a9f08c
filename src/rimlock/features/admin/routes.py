"""`/admin/users`: see accounts and change them, as an administrator.

Threat: a standing set by whoever names the field; a password an administrator chooses; an unlocked screen that is
    enough to hand out accounts.
Source: OWASP ASVS 5.0 V6.4.1, V6.4.6, V7.5.3, V8.2.1, V15.3.3; design section 7.

Whatever hands somebody power, or cannot be taken back, needs a sign-in of the last fifteen minutes. What only stops
somebody does not: that has to be quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from rimlock.core.access import Requirement
from rimlock.core.invitations import Invited
from rimlock.core.principal import Principal
from rimlock.core.users import NewUser
from rimlock.features.admin import logic
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router
from rimlock.web.presenting import moment

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.accounts import Account
    from rimlock.core.sessions import Session
    from rimlock.core.users import User
    from rimlock.feature import Context

__all__ = ["FRESH_MINUTES", "admin_routes"]

FRESH_MINUTES = 15
"""How old the sign-in may be of an administrator who hands out power, or deletes."""

ADMINISTRATOR = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}))
FRESH = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}), fresh=FRESH_MINUTES * 60)

Administrator = Annotated[Principal, require(ADMINISTRATOR)]
FreshAdministrator = Annotated[Principal, require(FRESH)]
UserId = Annotated[str, Path(max_length=64)]
SessionId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Text = Annotated[str | None, Query(max_length=320, pattern=r"^[^\x00-\x1f\x7f]*$")]
Cursor = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
SessionCursor = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
PageSize = Annotated[int, Query(ge=1, le=100)]
Choice = Annotated[bool | None, Query()]
Role = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Roles = Annotated[list[Role], Field(max_length=50)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewUserForm(_Form):
    """Somebody to be let in. `by`: with a temporary password, or by an invitation they make their account with."""

    email: Annotated[str, Field(max_length=320)]
    username: Annotated[str | None, Field(max_length=64)] = None
    display_name: Annotated[str, Field(max_length=200)] = ""
    roles: Roles = Field(default_factory=list)
    by: Literal["temporary_password", "invitation"] = "temporary_password"


class RolesForm(_Form):
    """All the roles an account is to have."""

    roles: Roles


class AccountAnswer(BaseModel):
    """An account, as administrators see it. Times are ISO 8601 in UTC.

    `waiting`: registered, and not let in yet. `password_expires_at`: until when a temporary password is good.
    """

    id: str
    email: str
    username: str | None
    display_name: str
    roles: list[str]
    active: bool
    waiting: bool
    verified: bool
    must_change_password: bool
    password_expires_at: str | None
    created_at: str


class DetailsAnswer(AccountAnswer):
    """An account and what hangs on it. `last_sign_in_at`: as far as its sessions are kept."""

    sessions: int
    api_keys: int
    last_sign_in_at: str | None


class AccountPage(BaseModel):
    """Some accounts. `next`: the cursor of the following page, null at the end; a page may be short before that."""

    items: list[AccountAnswer]
    next: str | None


class TemporaryAnswer(BaseModel):
    """A temporary password, shown this once."""

    temporary_password: str
    expires_at: str


class CreatedAnswer(BaseModel):
    """What was made: an account with a temporary password, or an invitation with its code, each shown this once."""

    user: AccountAnswer | None = None
    temporary_password: str | None = None
    invitation: str | None = None
    expires_at: str


class SessionAnswer(BaseModel):
    """One device a user is signed in on."""

    id: str
    created_at: str
    last_used_at: str
    expires_at: str
    device: str
    address: str
    remembered: bool
    methods: list[str]


class SessionPage(BaseModel):
    """Some sessions, oldest sign-in first."""

    items: list[SessionAnswer]
    next: str | None


class Ended(BaseModel):
    """How many sessions were ended."""

    ended: int


def admin_routes(context: Context) -> APIRouter:
    """Return the routes, for administrators with an access token."""
    router = own_router(prefix="/admin/users", tags=["admin"], dependencies=[require(ADMINISTRATOR)])
    _seeing(router, context)
    _making(router, context)
    _standing(router, context)
    _letting_in(router, context)
    _sessions(router, context)
    return router


def _seeing(router: APIRouter, context: Context) -> None:
    @router.get("", response_model=AccountPage, summary="Find accounts")
    async def find(
        *,
        search: Text = None,
        role: Text = None,
        disabled: Choice = None,
        waiting: Choice = None,
        must_change: Choice = None,
        after: Cursor = None,
        limit: PageSize = 50,
    ) -> dict[str, Any]:
        sought = logic.Sought(search=search, role=role, disabled=disabled, waiting=waiting, must_change=must_change)
        page = await logic.page(context, sought, after=after, limit=limit)
        return {"items": [_account(one.user, one.account) for one in page.items], "next": page.next}

    @router.get("/{user_id}", response_model=DetailsAnswer, summary="See an account")
    async def see(user_id: UserId) -> dict[str, Any]:
        found = await logic.details(context, user_id)
        more = {"sessions": found.sessions, "api_keys": found.keys, "last_sign_in_at": _moment(found.last_sign_in)}
        return _account(found.user, found.account) | more


def _making(router: APIRouter, context: Context) -> None:
    @router.post("", status_code=201, response_model=CreatedAnswer, summary="Make an account, or an invitation to one")
    async def create(form: NewUserForm, principal: FreshAdministrator) -> dict[str, Any]:
        if form.by == "invitation":
            code, made = await logic.invite(context, _invited(context, form), by=principal)
            return {"invitation": code, "expires_at": moment(made.expires_at)}
        new = NewUser(email=form.email, username=form.username, display_name=form.display_name)
        known, temporary = await logic.create(context, new, roles=form.roles, by=principal)
        return {"user": _account(known.user, known.account), **_temporary(temporary)}

    @router.post(
        "/{user_id}/temporary-password",
        status_code=201,
        response_model=TemporaryAnswer,
        summary="Give an account a temporary password; it is shown this once",
    )
    async def temporary_password(user_id: UserId, principal: FreshAdministrator) -> dict[str, Any]:
        return _temporary(await logic.temporary_password(context, user_id, by=principal))

    @router.delete("/{user_id}", status_code=204, summary="Delete an account with its sessions and keys")
    async def delete(user_id: UserId, principal: FreshAdministrator) -> Response:
        await logic.delete(context, user_id, by=principal)
        return Response(status_code=204)


def _standing(router: APIRouter, context: Context) -> None:
    @router.put("/{user_id}/roles", response_model=AccountAnswer, summary="Replace the roles of an account")
    async def roles(user_id: UserId, form: RolesForm, principal: FreshAdministrator) -> dict[str, Any]:
        return _seen(await logic.set_roles(context, user_id, form.roles, by=principal))

    @router.post("/{user_id}/disable", response_model=AccountAnswer, summary="Keep an account from acting")
    async def disable(user_id: UserId, principal: Administrator) -> dict[str, Any]:
        return _seen(await logic.disable(context, user_id, by=principal))

    @router.post("/{user_id}/enable", response_model=AccountAnswer, summary="Let a disabled account act again")
    async def enable(user_id: UserId, principal: Administrator) -> dict[str, Any]:
        return _seen(await logic.enable(context, user_id, by=principal))

    @router.post("/{user_id}/unlock", status_code=204, summary="Forget the failed sign-ins that lock an account")
    async def unlock(user_id: UserId, principal: Administrator) -> Response:
        await logic.unlock(context, user_id, by=principal)
        return Response(status_code=204)


def _letting_in(router: APIRouter, context: Context) -> None:
    @router.post("/{user_id}/approve", response_model=AccountAnswer, summary="Let in somebody who registered")
    async def approve(user_id: UserId, principal: Administrator) -> dict[str, Any]:
        return _seen(await logic.approve(context, user_id, by=principal))

    @router.post("/{user_id}/reject", status_code=204, summary="Delete the account of somebody who is not let in")
    async def reject(user_id: UserId, principal: Administrator) -> Response:
        await logic.reject(context, user_id, by=principal)
        return Response(status_code=204)


def _sessions(router: APIRouter, context: Context) -> None:
    @router.get("/{user_id}/sessions", response_model=SessionPage, summary="List the sessions of an account")
    async def list_sessions(user_id: UserId, after: SessionCursor = None, limit: PageSize = 50) -> dict[str, Any]:
        found = await logic.sessions_of(context, user_id, after=after, limit=limit + 1)
        following = found[limit - 1].id if len(found) > limit else None
        return {"items": [_session(one) for one in found[:limit]], "next": following}

    @router.delete("/{user_id}/sessions", summary="Sign an account out on every device")
    async def end_all(user_id: UserId, principal: Administrator) -> Ended:
        return Ended(ended=await logic.end_sessions(context, user_id, by=principal))

    @router.delete("/{user_id}/sessions/{session_id}", status_code=204, summary="Sign an account out on one device")
    async def end_one(user_id: UserId, session_id: SessionId, principal: Administrator) -> Response:
        await logic.end_session(context, user_id, session_id, by=principal)
        return Response(status_code=204)


def _invited(context: Context, form: NewUserForm) -> Invited:
    lasting = int(context.settings.invitation_lifetime.total_seconds())
    return Invited(email=form.email, roles=frozenset(form.roles), expires_at=context.now() + lasting)


def _seen(one: logic.Seen) -> dict[str, Any]:
    return _account(one.user, one.account)


def _account(user: User, account: Account | None) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "display_name": user.display_name,
        "roles": sorted(account.roles) if account else [],
        "active": account is not None and account.active,
        "waiting": account is not None and account.waiting,
        "verified": account is not None and account.verified,
        "must_change_password": account is not None and account.must_change_password,
        "password_expires_at": _moment(account.password_expires_at if account else None),
        "created_at": moment(user.created_at),
    }


def _temporary(made: logic.Temporary) -> dict[str, str]:
    return {"temporary_password": made.password, "expires_at": moment(made.expires_at)}


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": moment(session.created_at),
        "last_used_at": moment(session.refreshed_at),
        "expires_at": moment(session.expires_at),
        "device": session.device,
        "address": session.address,
        "remembered": session.remembered,
        "methods": session.methods.split(),
    }


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else moment(seconds)
