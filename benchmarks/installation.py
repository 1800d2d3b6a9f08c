"""One installation as the benchmarks use it, in a server under test and in the process that prepares it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rimlock import Rimlock, Rule, Settings, Stage
from rimlock.core import accounts, sessions
from rimlock.core.login import SignedIn
from rimlock.core.users import NewUser, OwnUsers
from rimlock.crypto.passwords.hashes import PasswordHasher

__all__ = ["PASSWORD", "Seeded", "built", "email", "seed"]

SECRET = "wK3vX8qNfT5yLzR1jHcB6mPdG9sEaU2oVi7Q"
PASSWORD = "seven grey herons wait by the weir"
RULES = tuple(Rule(pattern=path, stage=Stage.REQUIRED) for path in ("/gated", "/principal", "/user"))


@dataclass(frozen=True, slots=True)
class Seeded:
    """Tokens of people who are signed in, one session each."""

    access: list[str]
    refresh: list[str]


def built(
    database: str,
    *,
    rules: tuple[Rule, ...] = RULES,
    plain: bool = False,
    hasher: PasswordHasher | None = None,
    **settings: Any,
) -> Rimlock:
    """Return an installation on `database`. `plain`: without any feature. `hasher`: in place of our own."""
    given = Settings(
        secrets=[SECRET],
        database=database,
        create_tables=True,
        access_lifetime=timedelta(hours=20),
        issuer="http://127.0.0.1:8000",
        **settings,
    )
    return Rimlock(given, rules=rules, features=[] if plain else None, hasher=hasher)


def email(number: int) -> str:
    """Return the address of the numbered person."""
    return f"person{number}@example.com"


async def seed(auth: Rimlock, people: int, *, password: str | None = None) -> Seeded:
    """Make so many people, sign each of them in once, return their tokens. `password`: the same for all."""
    hashed = auth.context.passwords.hasher.hash(password) if password else None
    signed_in = await auth.database.write(_people(auth, people, hashed))
    answers = [json.loads(auth.context.entrance.admit(one).body) for one in signed_in]
    return Seeded([one["access_token"] for one in answers], [one["refresh_token"] for one in answers])


def _people(auth: Rimlock, people: int, hashed: str | None) -> Callable[[Any], list[SignedIn]]:
    now = int(time.time())

    def work(tx: Any) -> list[SignedIn]:
        return [_signed_in(auth, tx, number, hashed, now) for number in range(people)]

    return work


def _signed_in(auth: Rimlock, tx: Any, number: int, hashed: str | None, now: int) -> SignedIn:
    user = OwnUsers().create(tx, NewUser(email=email(number), username=f"person{number}"), now)
    account = accounts.open_account(tx, user.id, now=now, password_hash=hashed, verified=True)
    session = sessions.issue(
        tx, user.id, methods=("password",), device=sessions.Device(), lifetimes=auth.context.lifetimes, now=now
    )
    return SignedIn(session=session, account=account)
