"""FastAPI Users' HTTP dialect over the logic of Rimlock, and the Python names that applications call.

`FastAPIUsersProfile` is the dialect with paths of its own. An application that moves keeps its files and imports from
here what it imported before: `FastAPIUsers`, `BaseUserManager`, `schemas`, backends, transports and the strategy.
"""

from __future__ import annotations

from rimlock.profiles.fastapi_users import schemas
from rimlock.profiles.fastapi_users.codes import ErrorCode, InvalidID, InvalidPasswordException
from rimlock.profiles.fastapi_users.desk import DOCUMENTED
from rimlock.profiles.fastapi_users.legacy import LegacyTokens
from rimlock.profiles.fastapi_users.manager import BaseUserManager, IntegerIDMixin, UUIDIDMixin
from rimlock.profiles.fastapi_users.profile import FastAPIUsers, FastAPIUsersProfile
from rimlock.profiles.fastapi_users.transports import (
    AuthenticationBackend,
    BearerTransport,
    CookieTransport,
    JWTStrategy,
)

__all__ = [
    "DOCUMENTED",
    "AuthenticationBackend",
    "BaseUserManager",
    "BearerTransport",
    "CookieTransport",
    "ErrorCode",
    "FastAPIUsers",
    "FastAPIUsersProfile",
    "IntegerIDMixin",
    "InvalidID",
    "InvalidPasswordException",
    "JWTStrategy",
    "LegacyTokens",
    "UUIDIDMixin",
    "schemas",
]
