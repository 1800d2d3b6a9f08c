"""What members look like outside."""

import uuid

from rimlock.profiles.fastapi_users import schemas


class UserRead(schemas.BaseUser[uuid.UUID]):
    """In answers."""


class UserCreate(schemas.BaseUserCreate):
    """When they join."""


class UserUpdate(schemas.BaseUserUpdate):
    """When they change something."""
