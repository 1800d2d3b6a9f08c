"""The club."""

from contextlib import asynccontextmanager
from typing import Annotated

from db import User, make_tables
from fastapi import Depends, FastAPI
from schemas import UserCreate, UserRead, UserUpdate
from users import auth_backend, current_active_user, fastapi_users

from rimlock import MappedUsers, Rimlock, Settings


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Make the tables before anybody comes."""
    await make_tables()
    yield


app = FastAPI(lifespan=lifespan)

app.include_router(fastapi_users.get_auth_router(auth_backend), prefix="/auth/jwt", tags=["auth"])
app.include_router(fastapi_users.get_register_router(UserRead, UserCreate), prefix="/auth", tags=["auth"])
app.include_router(fastapi_users.get_reset_password_router(), prefix="/auth", tags=["auth"])
app.include_router(fastapi_users.get_verify_router(UserRead), prefix="/auth", tags=["auth"])
app.include_router(fastapi_users.get_users_router(UserRead, UserUpdate), prefix="/users", tags=["users"])


@app.get("/club-room")
async def club_room(user: Annotated[User, Depends(current_active_user)]):
    """Greet a member."""
    return {"message": f"Good evening, {user.email}"}


settings = Settings(
    secrets=["rimlock-9fK2mQ7xV4bT1nR8cW5yZ3hJ6pL0sDgA"], database="sqlite:///./club.db", mail_url="none:"
)
auth = Rimlock(settings, users=MappedUsers(User), profiles=[fastapi_users.profile], native=False)
auth.install(app)
