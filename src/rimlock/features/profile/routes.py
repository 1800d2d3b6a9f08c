"""`/me` and `/users/{user_id}`.

Threat: a field that was never offered and is changed all the same; an address shown to another user.
Source: OWASP ASVS 5.0 V8.2.3, V14.2.6, V15.3.3; RFC 7396; design section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Body, Path
from pydantic import BaseModel, ConfigDict, Field, create_model

from rimlock.core.access import Requirement
from rimlock.core.principal import Principal
from rimlock.features.profile import logic
from rimlock.web.dependencies import CurrentPrincipal, fresh, require
from rimlock.web.mounting import own_router
from rimlock.web.presenting import UserAnswer, user_fields

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["profile_routes"]

FRESH_MINUTES = 10
"""How old the sign-in may be that deletes an account."""

SignedIn = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
JustSignedIn = Annotated[Principal, fresh(FRESH_MINUTES)]
UserId = Annotated[str, Path(max_length=64)]


class MyAnswer(UserAnswer):
    """The signed-in user: who they are, what they may do, and by which session."""

    roles: list[str]
    permissions: list[str]
    session_id: str
    locale: str | None


class CardAnswer(BaseModel):
    """What others see of a user."""

    id: str
    username: str | None
    display_name: str
    avatar_url: str


class PatchForm(BaseModel):
    """A merge patch. Fields that cannot be changed here are taken in so that the refusal can name each of them."""

    model_config = ConfigDict(extra="allow", strict=True)

    username: Annotated[str | None, Field(max_length=64)] = None
    display_name: Annotated[str | None, Field(max_length=200)] = None
    avatar_url: Annotated[str | None, Field(max_length=2000)] = None
    profile: dict[str, Any] | None = None
    locale: Annotated[str | None, Field(max_length=35)] = None

    def patch(self) -> dict[str, Any]:
        """Return what was sent, and nothing that was not."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set} | (
            self.model_extra or {}
        )


class DeletionForm(BaseModel):
    """The password once more, if the client wants it asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    password: Annotated[str | None, Field(max_length=4096, repr=False)] = None


def profile_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = own_router(tags=["profile"])
    _me(router, context)

    @router.get("/users/{user_id}", response_model=CardAnswer, summary="See another user")
    async def look(user_id: UserId, _: CurrentPrincipal) -> dict[str, Any]:
        user = await logic.look_at(context, user_id)
        return {name: getattr(user, name) for name in CardAnswer.model_fields}

    return router


def _me(router: APIRouter, context: Context) -> None:
    answer, form_of = _with_fields(context)

    @router.get("/me", response_model=answer, summary="See yourself")
    async def read(principal: SignedIn) -> dict[str, Any]:
        return _shown(await logic.read_me(context, principal), principal)

    async def edit(form: PatchForm, principal: SignedIn) -> dict[str, Any]:
        return _shown(await logic.edit_me(context, principal, form.patch()), principal)

    edit.__annotations__["form"] = form_of
    router.patch("/me", response_model=answer, summary="Change something about yourself")(edit)

    @router.delete("/me", status_code=204, summary="Delete your account")
    async def delete(principal: JustSignedIn, form: Annotated[DeletionForm | None, Body()] = None) -> None:
        await logic.delete_me(context, principal, form.password if form else None)


def _with_fields(context: Context) -> tuple[type[MyAnswer], type[PatchForm]]:
    """Return answer and form as this application has them, with its own profile fields in the document."""
    fields = context.fields
    if fields.model is None:
        return MyAnswer, PatchForm
    whole: Any = (fields.patch, ...)  # what was kept before a field became required is shown as it is
    part: Any = (fields.patch | None, None)
    return (
        create_model("MyAnswer", __base__=MyAnswer, __doc__=MyAnswer.__doc__, profile=whole),
        create_model("PatchForm", __base__=PatchForm, __doc__=PatchForm.__doc__, profile=part),
    )


def _shown(me: logic.Myself, principal: Principal) -> dict[str, Any]:
    return {
        **user_fields(me.user, me.account),
        "roles": sorted(me.account.roles),
        "permissions": sorted(principal.permissions),
        "session_id": principal.credential_id,
        "locale": me.account.locale,
    }
