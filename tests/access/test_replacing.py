"""A host that brings its own user table, tokens and hashing: the flows are the same."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from access.host import KEY, Keys, fitted, foreign
from rimlock import CurrentPrincipal, CurrentUser, Principal, Rule, Stage, User
from rimlock.core.errors import CredentialExpired, CredentialInvalid
from rimlock.core.normal import email_forms
from rimlock.core.users import RegistrationConflict
from rimlock.crypto.passwords import PasswordMismatch, Verified
from rimlock.features.password import PasswordFeature
from rimlock.features.profile import ProfileFeature
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import count_statements, sign_in

pytestmark = pytest.mark.req("L19")
PASSWORD = "quite a long password of mine"
NEXT = "another long password of mine"

people = Table(
    "people",
    MetaData(),
    Column("nr", Integer, primary_key=True, autoincrement=True),
    Column("mail", String(320), nullable=False, unique=True),
    Column("called", String(200), nullable=False),
    Column("since", BigInteger, nullable=False),
)


class People:
    """The host's own table, with whole numbers for keys and no place for what it does not know."""

    def get(self, tx, user_id):
        return self._user(tx.one(select(people).where(people.c.nr == int(user_id)))) if user_id.isdigit() else None

    def find(self, tx, login):
        return self._user(tx.one(select(people).where(people.c.mail == login.casefold())))

    def create(self, tx, new, now):
        row = {"mail": email_forms(new.email)[1], "called": new.display_name, "since": now}
        try:
            return self.get(tx, str(tx.value(insert(people).values(**row).returning(people.c.nr))))
        except IntegrityError:
            raise RegistrationConflict from None

    def change(self, tx, user_id, changes, _now):
        columns = {"email": "mail", "display_name": "called"}
        values = {columns[name]: value for name, value in changes.items() if name in columns}
        if values:
            tx.change(update(people).where(people.c.nr == int(user_id)).values(**values))
        return self.get(tx, user_id)

    def delete(self, tx, user_id):
        return tx.change(delete(people).where(people.c.nr == int(user_id))) == 1

    def page(self, tx, *, after, limit, search=None):
        query = select(people).where(people.c.nr > int(after or 0)).order_by(people.c.nr).limit(limit)
        return [self._user(row) for row in tx.all(query) if search is None or row["mail"].startswith(search)]

    def _user(self, row):
        return row and User(
            id=str(row["nr"]),
            email=row["mail"],
            username=None,
            display_name=row["called"],
            avatar_url="",
            profile={},
            created_at=row["since"],
            updated_at=row["since"],
        )


class Remembered:
    """Users of a host that keeps them in memory, by keys with letters no number has."""

    def __init__(self):
        self.known = {}

    def get(self, _tx, user_id):
        return self.known.get(user_id)

    def find(self, _tx, login):
        return next((user for user in self.known.values() if user.email == login), None)

    def create(self, tx, new, now):
        if self.find(tx, new.email):
            raise RegistrationConflict
        user_id = f"person:{len(self.known)}/é"
        self.known[user_id] = User(
            id=user_id,
            email=new.email,
            username=None,
            display_name=new.display_name,
            avatar_url="",
            profile={},
            created_at=now,
            updated_at=now,
        )
        return self.known[user_id]

    def change(self, _tx, user_id, changes, _now):
        from dataclasses import replace

        self.known[user_id] = replace(self.known[user_id], **changes)
        return self.known[user_id]

    def delete(self, _tx, user_id):
        return self.known.pop(user_id, None) is not None

    def page(self, _tx, *, after, limit, search=None):
        return [user for user in self.known.values() if after is None or user.id > after][:limit]


class PlainTokens:
    """Tokens that hide nothing and prove little: for tests. `plain ` and base64 of JSON with a checksum."""

    def sign(self, grant, now):
        said = [grant.user_id, grant.session_id, sorted(grant.roles), grant.epoch, grant.auth_time, now + 600]
        text = b64encode(json.dumps(said).encode()).decode()
        return f"plain:{text}:{hashlib.sha256(text.encode()).hexdigest()[:16]}", 600

    def read(self, token, now):
        with suppress(ValueError):
            _, text, checksum = token.split(b":")
            if checksum.decode() == hashlib.sha256(text).hexdigest()[:16]:
                return self._principal(*json.loads(b64decode(text)), now)
        raise CredentialInvalid

    def recognises(self, token):
        return token.startswith(b"plain:")

    def _principal(self, user_id, session_id, roles, epoch, auth_time, until, now):
        if until <= now:
            raise CredentialExpired
        return Principal(
            subject=user_id,
            kind="token",
            credential_id=session_id,
            user_id=user_id,
            roles=frozenset(roles),
            epoch=epoch,
            auth_time=auth_time,
            expires_at=until,
        )


class QuickHasher:
    """A hasher of the host's own; `old` hashes are to be made anew."""

    def __init__(self):
        self.form = "old"

    def hash(self, password):
        return f"{self.form}${hashlib.sha256(password.encode()).hexdigest()}"

    def verify(self, stored, password):
        form, _, digest = stored.partition("$")
        if digest != hashlib.sha256(password.encode()).hexdigest():
            raise PasswordMismatch
        return Verified(upgrade=form != self.form)

    def dummy(self):
        return "new$none"


def app_of_a_host():
    app = FastAPI()
    app.get("/who")(_who)
    app.get("/mine")(_mine)
    return app


def _who(who: CurrentPrincipal):
    return who.subject


async def _mine(who: CurrentUser):
    return who.email


FEATURES = (PasswordFeature, SessionsFeature, ProfileFeature)


def every_flow(auth, client):
    """Register, sign in, see oneself, refresh, change the password, sign out; return the tokens on the way."""
    new = {"email": "ann@example.com", "password": PASSWORD, "display_name": "Ann"}
    made = client.post("/auth/register", json=new)
    assert made.status_code == 201, made.text
    assert client.post("/auth/register", json=new).status_code == 409
    login = {"login": "ann@example.com", "password": PASSWORD}
    assert client.post("/auth/login", json={**login, "password": NEXT}).status_code == 401
    tokens = client.post("/auth/login", json=login).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.get("/who", headers=headers).json() == made.json()["id"]
    assert client.get("/mine", headers=headers).json() == "ann@example.com"
    me = client.get("/auth/me", headers=headers)
    assert (me.status_code, me.json()["display_name"]) == (200, "Ann")
    refreshed = client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200
    changed = client.post("/auth/password", headers=headers, json={"current_password": PASSWORD, "new_password": NEXT})
    assert changed.status_code == 200, changed.text
    assert client.get("/who", headers=headers).status_code == 401
    headers = {"Authorization": f"Bearer {changed.json()['access_token']}"}
    assert client.get("/who", headers=headers).status_code == 200
    assert [one["current"] for one in client.get("/auth/sessions", headers=headers).json()["items"]] == [True]
    assert client.post("/auth/logout", headers=headers).status_code == 204
    assert client.get("/who", headers=headers).status_code == 401
    assert client.post("/auth/login", json={**login, "password": NEXT}).status_code == 200
    return tokens


def host_table(url):
    """Make the host's own table in the same database."""
    engine = create_engine(url)
    people.metadata.create_all(engine)
    engine.dispose()


def test_a_host_keeps_its_own_user_table(sqlite_url):
    """Whole numbers for keys, its own columns, no user of ours in any table of ours."""
    app = app_of_a_host()
    auth = fitted(app, sqlite_url, users=People(), features=[one() for one in FEATURES])
    host_table(sqlite_url)
    with TestClient(app) as client:
        every_flow(auth, client)
        rows = client.portal.call(auth.database.read, lambda tx: tx.all(select(people)))
    assert [(row["nr"], row["mail"], row["called"]) for row in rows] == [(1, "ann@example.com", "Ann")]


def test_a_host_keeps_its_users_where_it_likes(database_url):
    """In memory, by keys with a colon, a slash and a letter beyond ASCII."""
    app = app_of_a_host()
    users = Remembered()
    auth = fitted(app, database_url, users=users, features=[one() for one in FEATURES])
    with TestClient(app) as client:
        every_flow(auth, client)
    assert list(users.known) == ["person:0/é"]


def test_a_host_brings_its_own_token_format(sqlite_url):
    """Every flow goes through it; nothing in a token is a JWT."""
    app = app_of_a_host()
    auth = fitted(app, sqlite_url, tokens=PlainTokens(), features=[one() for one in FEATURES])
    with TestClient(app) as client:
        tokens = every_flow(auth, client)
    assert tokens["access_token"].startswith("plain:")
    assert tokens["expires_in"] == 600


def test_tokens_of_the_hosts_own_are_judged_like_ours(sqlite_url, clock):
    """Forged, expired and revoked are 401 with the challenge; other texts are left to other readers; no query."""
    app = app_of_a_host()
    auth = fitted(
        app,
        sqlite_url,
        tokens=PlainTokens(),
        features=[Keys()],
        rules=[Rule(pattern="/**", stage=Stage.OPTIONAL)],
        clock=clock,
    )
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        with count_statements(auth) as statements:
            assert [client.get("/who", headers=ann.headers).status_code for _ in range(3)] == [200] * 3
        assert statements.count == 0
        forged = {"Authorization": f"Bearer {ann.access_token[:-1]}x"}
        assert "invalid_token" in client.get("/who", headers=forged).headers["www-authenticate"]
        for strange in (foreign(clock()), "rl_something", "plain"):
            headers = {"Authorization": f"Bearer {strange}"}
            assert client.get("/who", headers=headers).headers["www-authenticate"] == 'Bearer realm="rimlock"'
            assert client.get("/who", headers={**headers, "X-API-Key": KEY}).json() == "key:k1"
        clock.advance(600)
        expired = client.get("/who", headers=ann.headers)
        assert (expired.status_code, expired.json()["detail"]) == (401, "The credential has expired.")


def test_a_token_of_no_session_of_ours_is_refused(sqlite_url):
    """It could never be revoked; so it is 401 and no failure of the gate."""

    class Sessionless(PlainTokens):
        def sign(self, grant, now):
            from dataclasses import replace

            return super().sign(replace(grant, session_id="none"), now)

    app = app_of_a_host()
    auth = fitted(app, sqlite_url, tokens=Sessionless())
    with TestClient(app) as client:
        assert client.get("/who", headers=sign_in(auth, client).headers).status_code == 401


def test_a_host_brings_its_own_hasher_and_upgrades_through_it(sqlite_url):
    """What is stored is what it made; what it calls old is made anew at the next sign-in."""
    from rimlock.core import accounts

    app, hasher = app_of_a_host(), QuickHasher()
    auth = fitted(app, sqlite_url, hasher=hasher, features=[one() for one in FEATURES])
    with TestClient(app) as client:
        every_flow(auth, client)

        def stored(tx):
            user = auth.context.users.find(tx, "ann@example.com")
            return accounts.standing(tx, user.id).password_hash

        assert client.portal.call(auth.database.read, stored) == hasher.hash(NEXT)
        hasher.form = "new"
        login = {"login": "ann@example.com", "password": NEXT}
        assert client.post("/auth/login", json=login).status_code == 200
        assert client.portal.call(auth.database.read, stored) == hasher.hash(NEXT)
        assert hasher.hash(NEXT).startswith("new$")


def test_all_three_may_be_replaced_at_once(sqlite_url):
    """Nothing of one relies on another."""
    app = app_of_a_host()
    auth = fitted(
        app,
        sqlite_url,
        users=Remembered(),
        tokens=PlainTokens(),
        hasher=QuickHasher(),
        features=[one() for one in FEATURES],
    )
    with TestClient(app) as client:
        every_flow(auth, client)
