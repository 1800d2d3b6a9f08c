"""What is said to FastAPI Users and to Rimlock, word for word, and how two answers are compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from profiles.fastapi_users.peers import Answer, ask

__all__ = ["ROUTERS_ALONE", "STEPS", "Said", "Step", "compared", "hold"]

GOOD = "a quite long sentence nobody knows"
OTHER = "another long sentence that is new"
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
PLACE = re.compile(r"127\.0\.0\.1:\d+")
BOUNDARY = "a1b2c3"
ROUTERS_ALONE = ("/strict", "/hello")
"""Paths that only the application with its own routers has."""

SECRET = {"password", "token", "client_secret"}


@dataclass(frozen=True)
class Step:
    """One request. `{name}` in path, headers and body stands for what was learned; `learns` from its answer."""

    name: str
    method: str
    path: str
    json: Any = None
    form: dict[str, str] | None = None
    raw: tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    learns: dict[str, Callable[[Answer], str]] = field(default_factory=dict)
    setting: bool = False
    """It prepares what follows and is no part of the contract."""


@dataclass(frozen=True)
class Said:
    """A step and the answer to it."""

    step: Step
    answer: Answer


def hold(place: str, *, strict: bool = True) -> list[Said]:
    """Say everything to one server, in order. Without `strict`, leave out what only the routers have."""
    learned: dict[str, str] = {}
    said = []
    for step in STEPS:
        if not strict and step.path.startswith(ROUTERS_ALONE):
            continue
        answer = _say(place, step, learned)
        for name, learn in step.learns.items():
            learned[name] = learn(answer)
        said.append(Said(step, answer))
    return said


def _say(place: str, step: Step, learned: dict[str, str]) -> Answer:
    headers = {name: _filled(value, learned) for name, value in step.headers.items()}
    body = None
    if step.raw is not None:
        headers["content-type"], body = step.raw[0], _filled(step.raw[1], learned).encode()
    elif step.json is not None:
        headers["content-type"], body = "application/json", _filled(json.dumps(step.json), learned).encode()
    elif step.form is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
        body = urlencode(step.form).encode()
    return ask(place, step.method, _filled(step.path, learned), body, headers)


def _filled(text: str, learned: dict[str, str]) -> str:
    for name, value in learned.items():
        text = text.replace(f"<{name}>", value)
    return text


def compared(answer: Answer, *, added_headers: dict[str, str], added_members: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an answer without what differs by its nature (ids, tokens, dates), and what was added on purpose."""
    headers = sorted(
        (name, _same(value))
        for name, value in answer.headers
        if name not in {"date", "server", "content-length"} and added_headers.get(name) != value
    )
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = answer.body.decode()
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in added_members}
        body["detail"] = _unrepeated(body.get("detail"))
    return {"status": answer.status, "headers": headers, "body": json.loads(_same(json.dumps(body)))}


def _unrepeated(detail: Any) -> Any:
    """Return what is wrong with a request, without the passwords and tokens that were sent: theirs repeats them."""
    if not isinstance(detail, list):
        return detail
    for one in detail:
        if isinstance(one["input"], dict):
            one["input"] = {name: None if name in SECRET else value for name, value in one["input"].items()}
        elif one["loc"][-1] in SECRET and one["type"] != "missing":
            one["input"] = None
    return detail


def _same(text: str) -> str:
    return PLACE.sub("(place)", JWT.sub("(token)", UUID.sub("(id)", text)))


def _token(answer: Answer) -> str:
    return str(answer.json["access_token"])


def _cookie(answer: Answer) -> str:
    return answer.header("set-cookie").partition(";")[0]


def _id(answer: Answer) -> str:
    return str(answer.json["id"])


def _told(answer: Answer) -> str:
    return str(answer.json["token"])


def _login(name: str, who: str, password: str = GOOD, at: str = "/auth/jwt", **more: Any) -> Step:
    return Step(name, "POST", f"{at}/login", form={"username": who, "password": password}, **more)


def _register(name: str, email: str, **more: Any) -> Step:
    return Step(name, "POST", "/auth/register", json={"email": email, "password": GOOD, **more})


def _flags(email: str, **flags: bool) -> Step:
    return Step(f"set {email} {flags}", "POST", f"/test/flags/{email}", json=flags, setting=True)


def _hear(name: str, key: str) -> Step:
    return Step(f"hear {key} as {name}", "GET", f"/test/told/{key}", learns={name: _told}, setting=True)


def _as(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer <{name}>"}


def _multipart(**fields: str) -> tuple[str, str]:
    parts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return f"multipart/form-data; boundary={BOUNDARY}", f"{parts}--{BOUNDARY}--\r\n"


def _registering() -> Iterator[Step]:
    learn = {"ann_id": _id}
    ann = {"email": "Ann@Example.COM", "password": GOOD, "nickname": "annie"}
    yield Step("register", "POST", "/auth/register", json=ann, learns=learn)
    yield _register("register the same", "Ann@example.com")
    yield _register("register the same in another case", "ann@EXAMPLE.com")
    yield _register("register with flags that do not count", "bob@example.com", is_superuser=True, is_verified=True)
    yield _register("register as inactive, which does not count", "eve@example.com", is_active=False)
    yield _register("register without a nickname", "dan@example.com")
    weak = {"email": "weak@example.com", "password": "a weak long password of words"}
    yield Step("register with a weak password", "POST", "/auth/register", json=weak)
    taken = {"email": "ann@example.com", "password": "a weak long password of words"}
    yield Step("register a taken address with a weak password", "POST", "/auth/register", json=taken)
    short = {"email": "short@example.com", "password": "abc"}
    yield Step("register with a short password", "POST", "/auth/register", json=short)
    yield Step("register without a password", "POST", "/auth/register", json={"email": "x@example.com"})
    yield Step("register without an address", "POST", "/auth/register", json={"password": GOOD})
    yield Step("register with no address", "POST", "/auth/register", json={"email": "nobody", "password": GOOD})
    yield Step("register with a number as password", "POST", "/auth/register", json={"email": "x@e.com", "password": 1})
    yield Step("register with nothing", "POST", "/auth/register")
    yield Step("register with a list", "POST", "/auth/register", json=[])
    yield Step("register with broken JSON", "POST", "/auth/register", raw=("application/json", '{"email":'))
    yield Step("register with a form", "POST", "/auth/register", form={"email": "x@example.com", "password": GOOD})
    yield Step("register by GET", "GET", "/auth/register")


def _signing_in() -> Iterator[Step]:
    yield _login("sign in", "Ann@example.com", learns={"ann": _token})
    yield _login("sign in with another case", "ANN@EXAMPLE.COM")
    yield _login("sign in with a wrong password", "Ann@example.com", "no such password at all")
    yield _login("sign in as nobody", "nobody@example.com")
    yield _login("sign in with no address", "nobody")
    yield _login("sign in with an empty name", "")
    yield _login("sign in with an empty password", "Ann@example.com", "")
    form = {"username": "Ann@example.com", "password": GOOD}
    yield Step("sign in with the grant", "POST", "/auth/jwt/login", form={**form, "grant_type": "password"})
    yield Step("sign in with everything", "POST", "/auth/jwt/login", form={**form, "scope": "a b", "client_id": "c"})
    yield Step("sign in with another grant", "POST", "/auth/jwt/login", form={**form, "grant_type": "refresh_token"})
    yield Step("sign in with an empty grant", "POST", "/auth/jwt/login", form={**form, "grant_type": ""})
    yield Step("sign in by JSON", "POST", "/auth/jwt/login", json=form)
    yield Step("sign in by multipart", "POST", "/auth/jwt/login", raw=_multipart(**form))
    yield Step("sign in by multipart without a password", "POST", "/auth/jwt/login", raw=_multipart(username="x"))
    yield Step("sign in without a password", "POST", "/auth/jwt/login", form={"username": "Ann@example.com"})
    yield Step("sign in without a name", "POST", "/auth/jwt/login", form={"password": GOOD})
    yield Step("sign in with nothing", "POST", "/auth/jwt/login")
    yield Step("sign in by GET", "GET", "/auth/jwt/login")
    yield _flags("eve@example.com", is_active=True)
    yield _login("sign in before being shut out", "eve@example.com", learns={"eve": _token})
    yield _flags("eve@example.com", is_active=False)
    yield _login("sign in as somebody shut out", "eve@example.com")
    yield Step("be somebody shut out", "GET", "/users/me", headers=_as("eve"))
    yield _login("sign in unproven where that is asked for", "Ann@example.com", at="/strict")
    yield _login("sign in wrongly where proof is asked for", "Ann@example.com", "wrong password it is", at="/strict")
    yield Step("be unproven where that is asked for", "GET", "/strict/users/me", headers=_as("ann"))
    yield Step("sign out unproven where that is asked for", "POST", "/strict/logout", headers=_as("ann"))


def _being() -> Iterator[Step]:
    yield Step("see oneself", "GET", "/users/me", headers=_as("ann"))
    yield Step("see oneself with a small scheme", "GET", "/users/me", headers={"authorization": "bearer <ann>"})
    yield Step("see oneself as nobody", "GET", "/users/me")
    yield Step("see oneself with rubbish", "GET", "/users/me", headers={"authorization": "Bearer rubbish"})
    yield Step("see oneself with a forged token", "GET", "/users/me", headers={"authorization": "Bearer <ann>x"})
    yield Step("see oneself with a password", "GET", "/users/me", headers={"authorization": "Basic YTpi"})
    yield Step("see oneself with a slash", "GET", "/users/me/", headers=_as("ann"))
    yield Step("be greeted", "GET", "/hello", headers=_as("ann"))
    yield Step("be greeted as nobody", "GET", "/hello")
    yield Step("be greeted without need", "GET", "/hello/optional")
    yield Step("be greeted without need and signed in", "GET", "/hello/optional", headers=_as("ann"))
    yield Step(
        "be greeted without need and with rubbish", "GET", "/hello/optional", headers={"authorization": "Bearer x"}
    )
    yield Step("be greeted as no superuser", "GET", "/hello/superuser", headers=_as("ann"))


def _changing() -> Iterator[Step]:
    def patch(name: str, sent: Any, who: str = "ann") -> Step:
        return Step(name, "PATCH", "/users/me", json=sent, headers=_as(who))

    yield patch("change a field of the application's", {"nickname": "anna"})
    yield patch("change nothing", {})
    yield patch("change flags that do not count", {"is_superuser": True, "is_verified": True, "is_active": False})
    yield patch("take a taken address", {"email": "bob@example.com"})
    yield patch("take the own address", {"email": "Ann@example.com"})
    yield patch("take the own address in another case", {"email": "ANN@example.com"})
    yield patch("take no address", {"email": "nobody"})
    yield patch("take a weak password", {"password": "a weak long password of words"})
    yield _flags("Ann@example.com", is_verified=True)
    yield patch("take another address", {"email": "anna@example.com"})
    yield patch("take it back", {"email": "Ann@example.com"})
    yield Step("change oneself as nobody", "PATCH", "/users/me", json={"nickname": "x"})
    yield Step("change oneself as nobody with a wrong body", "PATCH", "/users/me", json={"email": 1})
    yield Step("change oneself without a body", "PATCH", "/users/me", headers=_as("ann"))
    yield patch("take another password", {"password": OTHER})
    yield Step("be oneself by the token of before", "GET", "/users/me", headers=_as("ann"))
    yield _login("sign in with the old password", "Ann@example.com")
    yield _login("sign in with the new password", "Ann@example.com", OTHER, learns={"ann": _token})


def _ruling() -> Iterator[Step]:
    who = {"/users/<ann_id>": "ann", "/users/no-id": "a malformed id", f"/users/{'0' * 32}": "no such id"}
    for path, said in who.items():
        yield Step(f"see {said} as nobody", "GET", path)
        yield Step(f"see {said} as no superuser", "GET", path, headers=_as("ann"))
    yield Step("change ann as no superuser", "PATCH", "/users/<ann_id>", json={"nickname": "x"}, headers=_as("ann"))
    yield Step("delete ann as no superuser", "DELETE", "/users/<ann_id>", headers=_as("ann"))
    yield _flags("bob@example.com", is_superuser=True)
    yield _login("sign in as a superuser", "bob@example.com", learns={"bob": _token})
    yield Step("be greeted as a superuser", "GET", "/hello/superuser", headers=_as("bob"))
    for path, said in who.items():
        yield Step(f"see {said} as a superuser", "GET", path, headers=_as("bob"))

    def patch(name: str, sent: Any, path: str = "/users/<ann_id>") -> Step:
        return Step(name, "PATCH", path, json=sent, headers=_as("bob"))

    yield patch("change a malformed id", {"nickname": "x"}, "/users/no-id")
    yield patch("change a malformed id with a wrong body", {"email": 1}, "/users/no-id")
    yield patch("change ann's fields", {"nickname": "annette"})
    yield patch("prove ann", {"is_verified": True})
    yield patch("give ann a taken address", {"email": "dan@example.com"})
    yield patch("give ann a weak password", {"password": "a weak long password of words"})
    yield patch("change ann with a wrong body", {"is_active": "perhaps"})
    yield patch("shut ann out", {"is_active": False})
    yield Step("be ann, shut out", "GET", "/users/me", headers=_as("ann"))
    yield patch("let ann in again", {"is_active": True})
    yield _login("sign in as ann, let in again", "Ann@example.com", OTHER, learns={"ann": _token})
    yield _login("sign in as ann, proven", "Ann@example.com", OTHER, at="/strict")
    yield Step("be ann, proven", "GET", "/strict/users/me", headers=_as("ann"))
    yield _login("sign in before becoming a superuser", "dan@example.com", learns={"dan": _token})
    me = {"dan_id": _id}
    yield Step("be somebody who becomes a superuser", "GET", "/users/me", headers=_as("dan"), learns=me)
    yield patch("make somebody a superuser", {"is_superuser": True}, "/users/<dan_id>")
    yield Step("be a new superuser by the token of before", "GET", "/users/me", headers=_as("dan"))
    yield patch("take a superuser's rights", {"is_superuser": False}, "/users/<dan_id>")
    yield Step("see oneself among all", "GET", "/users/me", headers=_as("bob"), learns={"bob_id": _id})
    yield patch("give up the rights of the last superuser", {"is_superuser": False}, "/users/<bob_id>")
    yield _flags("bob@example.com", is_superuser=True)
    yield _register("register somebody to be deleted", "gone@example.com")
    yield _login("sign in as somebody to be deleted", "gone@example.com", learns={"gone": _token})
    me = {"gone_id": _id}
    yield Step("be somebody to be deleted", "GET", "/users/me", headers=_as("gone"), learns=me)
    yield Step("delete somebody", "DELETE", "/users/<gone_id>", headers=_as("bob"))
    yield Step("be somebody deleted", "GET", "/users/me", headers=_as("gone"))
    yield Step("delete somebody again", "DELETE", "/users/<gone_id>", headers=_as("bob"))
    yield _login("sign in as somebody deleted", "gone@example.com")


def _proving() -> Iterator[Step]:
    ask_path, path = "/auth/request-verify-token", "/auth/verify"
    yield Step("ask for proof", "POST", ask_path, json={"email": "DAN@example.com"})
    yield _hear("proof", "verify:dan@example.com")
    yield Step("ask for proof as nobody", "POST", ask_path, json={"email": "nobody@example.com"})
    yield Step("ask for proof, shut out", "POST", ask_path, json={"email": "eve@example.com"})
    yield Step("ask for proof, proven", "POST", ask_path, json={"email": "Ann@example.com"})
    yield Step("ask for proof without an address", "POST", ask_path, json={})
    yield Step("ask for proof with no address", "POST", ask_path, json={"email": "nobody"})
    yield Step("prove with rubbish", "POST", path, json={"token": "rubbish"})
    yield Step("prove with a token for other things", "POST", path, json={"token": "<ann>"})
    yield Step("prove with nothing", "POST", path, json={})
    yield Step("prove", "POST", path, json={"token": "<proof>"})
    yield Step("prove again", "POST", path, json={"token": "<proof>"})


def _resetting() -> Iterator[Step]:
    forgot, path = "/auth/forgot-password", "/auth/reset-password"
    yield Step("forget", "POST", forgot, json={"email": "DAN@EXAMPLE.com"})
    yield _hear("link", "reset:dan@example.com")
    yield _login("sign in before the reset", "dan@example.com", learns={"dan": _token})
    yield Step("forget as nobody", "POST", forgot, json={"email": "nobody@example.com"})
    yield Step("forget, shut out", "POST", forgot, json={"email": "eve@example.com"})
    yield Step("forget without an address", "POST", forgot, json={})
    yield Step("forget with no address", "POST", forgot, json={"email": "nobody"})
    yield Step("reset with rubbish", "POST", path, json={"token": "rubbish", "password": OTHER})
    yield Step("reset with a token for other things", "POST", path, json={"token": "<ann>", "password": OTHER})
    yield Step("reset without a password", "POST", path, json={"token": "<link>"})
    yield Step("reset without a token", "POST", path, json={"password": OTHER})
    yield Step("reset to a weak password", "POST", path, json={"token": "<link>", "password": "weak and long it is"})
    yield Step("reset", "POST", path, json={"token": "<link>", "password": OTHER})
    yield Step("reset again", "POST", path, json={"token": "<link>", "password": GOOD})
    yield _login("sign in with the password of before", "dan@example.com")
    yield Step("be oneself by the token of before the reset", "GET", "/users/me", headers=_as("dan"))
    yield _login("sign in after the reset", "dan@example.com", OTHER)


def _with_cookies() -> Iterator[Step]:
    yield _login("sign in for a cookie", "dan@example.com", OTHER, at="/auth/cookie", learns={"jar": _cookie})
    yield _login("fail to sign in for a cookie", "dan@example.com", "wrong password it is", at="/auth/cookie")
    yield Step("see oneself by cookie", "GET", "/users/me", headers={"cookie": "<jar>"})
    yield Step("see oneself by one of the cookies", "GET", "/users/me", headers={"cookie": "a=b; <jar>; c=d"})
    yield Step("see oneself by a bad cookie", "GET", "/users/me", headers={"cookie": "fastapiusersauth=rubbish"})
    both = {"cookie": "<jar>", "authorization": "Bearer rubbish"}
    yield Step("see oneself by a cookie beside a bad token", "GET", "/users/me", headers=both)
    yield Step("be greeted by cookie", "GET", "/hello", headers={"cookie": "<jar>"})
    change = {"nickname": "danny"}
    yield Step("change oneself by cookie", "PATCH", "/users/me", json=change, headers={"cookie": "<jar>"})
    evil = {"origin": "https://evil.example", "cookie": "<jar>"}
    yield Step("see oneself by cookie from another page", "GET", "/users/me", headers=evil)
    yield Step("change oneself by cookie from another page", "PATCH", "/users/me", json=change, headers=evil)
    yield _login("sign in for a cookie from another page", "dan@example.com", OTHER, at="/auth/cookie", headers=evil)
    yield Step("sign out by no cookie", "POST", "/auth/cookie/logout")
    yield Step("sign out by cookie", "POST", "/auth/cookie/logout", headers={"cookie": "<jar>"})
    yield Step("be oneself by the cookie of before", "GET", "/users/me", headers={"cookie": "<jar>"})


def _leaving() -> Iterator[Step]:
    yield Step("sign out as nobody", "POST", "/auth/jwt/logout")
    yield Step("sign out with rubbish", "POST", "/auth/jwt/logout", headers={"authorization": "Bearer rubbish"})
    yield Step("sign out", "POST", "/auth/jwt/logout", headers=_as("ann"))
    yield Step("be oneself after signing out", "GET", "/users/me", headers=_as("ann"))
    yield Step("ask for a path that is none", "GET", "/auth/jwt/nothing")
    yield Step("ask with a method that is none", "DELETE", "/users/me", headers=_as("bob"))


STEPS = (
    *_registering(),
    *_signing_in(),
    *_being(),
    *_changing(),
    *_ruling(),
    *_proving(),
    *_resetting(),
    *_with_cookies(),
    *_leaving(),
)
