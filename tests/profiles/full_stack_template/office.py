"""An application of the template's shape: people, and items that belong to them, before and after it moved."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated

import jwt
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import insert

from rimlock import CurrentPrincipal, Rimlock, Settings
from rimlock.core import accounts
from rimlock.core.schema import user as user_table
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.profiles.full_stack_template import FullStackTemplate, LegacyTokens, Member
from rimlock.testing import Outbox

SECRET_KEY = "Kf8Qz2Vn6Xw4Lp9RtB3sYc7HgJd5MeA1"
OURS = "ours-9fK2mQ7xV4bT1nR8cW5yZ3hJ6pL0sDgA"
GOOD = "seven green ladders"
BETTER = "eleven quiet harbours"
API = "/api/v1"
UNTIL = datetime(2027, 2, 1, tzinfo=UTC).date()


class ItemIn(BaseModel):
    """An item as it is sent."""

    title: str


def items_router(profile: FullStackTemplate) -> APIRouter:
    """Return the host's own routes: everybody sees their own items, superusers all."""
    router = APIRouter(prefix=f"{API}/items", tags=["items"])
    kept: dict[uuid.UUID, tuple[uuid.UUID, str]] = {}
    CurrentUser = Annotated[Member, Depends(profile.current_user)]  # noqa: N806 - as the template calls it

    async def read_items(current_user: Member) -> dict:
        mine = [
            {"id": str(key), "title": title, "owner_id": str(owner)}
            for key, (owner, title) in kept.items()
            if current_user.is_superuser or owner == current_user.id
        ]
        return {"data": mine, "count": len(mine)}

    async def create_item(item_in: ItemIn, current_user: Member) -> dict[str, str]:
        key = uuid.uuid4()
        kept[key] = (current_user.id, item_in.title)
        return {"id": str(key), "title": item_in.title, "owner_id": str(current_user.id)}

    async def read_item(item_id: uuid.UUID, current_user: Member) -> dict[str, str]:
        if item_id not in kept:
            raise HTTPException(404, "Item not found")
        owner, title = kept[item_id]
        if not current_user.is_superuser and owner != current_user.id:
            raise HTTPException(403, "Not enough permissions")
        return {"id": str(item_id), "title": title, "owner_id": str(owner)}

    async def purge(_: Member) -> dict[str, str]:
        kept.clear()
        return {"message": "Items deleted"}

    for endpoint in (read_items, create_item, read_item):
        endpoint.__annotations__["current_user"] = CurrentUser
    purge.__annotations__["_"] = Annotated[Member, Depends(profile.current_active_superuser)]
    router.add_api_route("/", read_items, methods=["GET"])
    router.add_api_route("/", create_item, methods=["POST"])
    router.add_api_route("/{item_id}", read_item, methods=["GET"])
    router.add_api_route("/", purge, methods=["DELETE"])
    return router


def office(url, clock, *, legacy=False, native=False, settings=None, users=None, **choices):
    """Return the application, its Rimlock and the messages that it posts."""
    old = LegacyTokens(secret=SECRET_KEY, until=UNTIL) if legacy else None
    profile = FullStackTemplate(legacy=old, **choices)
    app = FastAPI(title="Full Stack FastAPI Project")
    app.include_router(items_router(profile))

    @app.get(f"{API}/whoami")
    async def whoami(principal: CurrentPrincipal) -> dict[str, str]:
        return {"id": principal.user_id, "kind": principal.kind}

    given = {"login_rate": 1_000, "registration_rate": 1_000, "lockout_after": 1_000, **(settings or {})}
    auth = Rimlock(
        Settings(
            secrets=[OURS],
            database=url,
            create_tables=True,
            mail_url="none:",
            frontend_url="https://app.example.com",
            **given,
        ),
        profiles=[profile],
        native=native,
        users=users,
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        clock=clock,
    )
    auth.install(app)
    return app, auth, Outbox(auth)


def moved(client, auth, email, *, password=GOOD, superuser=False, full_name="", at=None):
    """Put somebody in as an import does: with the UUID of before, dashes and all. Return the id."""
    user_id = str(uuid.uuid4())
    now = auth.context.now() if at is None else at
    hashed = auth.context.passwords.hasher.hash(password)

    def work(tx):
        row = {"id": user_id, "email": email, "email_key": email.lower(), "display_name": full_name, "avatar_url": ""}
        tx.change(insert(user_table), {**row, "profile": {}, "created_at": now, "updated_at": now})
        roles = ("admin",) if superuser else ()
        accounts.open_account(tx, user_id, now=now, password_hash=hashed, roles=roles)

    client.portal.call(auth.database.write, work)
    return user_id


def signed_in(client, email, password=GOOD):
    """Sign in by the form; return the header that the token is sent in."""
    answer = client.post(f"{API}/login/access-token", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def old_token(user_id, clock, *, secret=SECRET_KEY, seconds=8 * 86_400, **claims):
    """Return the header of an access token as the template made it."""
    said = {"exp": datetime.fromtimestamp(clock() + seconds, UTC), "sub": str(user_id), **claims}
    return {"Authorization": f"Bearer {jwt.encode(said, secret, algorithm='HS256')}"}


def standing(client, auth, user_id):
    """Return the standing of a user."""
    return client.portal.call(auth.database.read, lambda tx: accounts.standing(tx, user_id))


def change(client, auth, work):
    """Change something by a function of a transaction."""
    return client.portal.call(auth.database.write, work)
