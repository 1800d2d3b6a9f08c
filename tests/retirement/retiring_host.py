"""An application with every kind of answer, keys, and the means to retire them."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from rimlock import CurrentPrincipal, Rimlock, Settings
from rimlock.core import keys, retiring
from rimlock.core.clock import Clock, system_clock
from rimlock.core.retirements import Phase, Retirement
from rimlock.core.windows import Window
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.api_keys import ApiKeys
from rimlock.features.retirement import RetirementFeature
from rimlock.testing import FrozenClock

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
PAGE = "https://lab.example/new-keys"
START = int(FrozenClock()())
ADMIN = "/auth/admin/retirements"


def host(folder) -> FastAPI:
    """An application that answers in every way there is."""
    app, sub = FastAPI(), FastAPI()
    (folder / "page.txt").write_text("a page")

    @app.get("/plain")
    async def plain():
        return "ok"

    @app.get("/mine")
    def mine(principal: CurrentPrincipal):
        return principal.label

    @app.get("/missing")
    def missing():
        raise HTTPException(404)

    @app.get("/overloaded")
    def overloaded():
        raise HTTPException(503)

    @app.get("/unchanged")
    def unchanged():
        return JSONResponse(None, status_code=304)

    @app.get("/streamed")
    def streamed():
        return StreamingResponse(iter(["a", "b"]))

    @app.get("/own-words")
    def own_words():
        links = {
            "Link": '</v2>; rel="successor-version"',
            "Deprecation": "@5",
            "Sunset": "Fri, 01 Jan 2027 00:00:00 GMT",
        }
        return JSONResponse("ok", headers=links)

    @sub.get("/route")
    def below():
        return "ok"

    @app.websocket("/live")
    async def live(socket: WebSocket):
        await socket.accept()
        await socket.close()

    app.mount("/sub", sub)
    app.mount("/files", StaticFiles(directory=folder))
    return app


def fitted(url, folder, *, app=None, rules=(), features=None, clock: Clock = system_clock, **settings: Any):
    """Fit keys and their retirement onto an application; return both."""
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, **settings),
        rules=rules,
        features=features or [ApiKeys(), RetirementFeature()],
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        clock=clock,
    )
    made = app or host(folder)
    auth.install(made)
    return auth, made


def written(client, auth, work):
    """Run one transaction."""
    return client.portal.call(auth.database.write, work)


def new_key(client, auth, name="plotter", **more):
    """Make a service's key; return its id and the header it travels in."""
    new = keys.NewKey(name=name, **more)
    text, made = written(client, auth, lambda tx: keys.issue(tx, new, prefix="rl", now=auth.context.now()))
    return made.id, {"X-API-Key": text}


def retire(client, auth, target, phase=Phase.DEPRECATED, **more):
    """Say how far a key (by id) or a kind is on its way out."""
    named = target if ":" in target else f"key:{target}"
    said = Retirement(target=named, phase=phase, **{"deprecated_at": 1_700_000_000, "link": PAGE, **more})
    made = written(
        client, auth, lambda tx: retiring.change(tx, named, lambda _: said, actor="cli:test", now=auth.context.now())
    )
    if phase is not Phase.ACCEPT:
        eventually(lambda: phase_of(auth, named), (phase, said.windows))
    return made


def phase_of(auth, target):
    """What this process knows of a target."""
    known = auth.context.retirements.active.get(target)
    return None if known is None else (known.phase, known.windows)


def eventually(answer, wanted, seconds=10):
    """Ask until the answer is the wanted one, and say so when it never is."""
    end = monotonic() + seconds
    while (found := answer()) != wanted:
        assert monotonic() < end, found
        sleep(0.02)


def now_until(auth, seconds=600):
    """A brownout that began a moment ago."""
    now = auth.context.now()
    return (Window(start=now - 1, end=now + seconds),)


def guarded(app: FastAPI, check: Any) -> None:
    """Add a route with a check of the host's own."""
    app.get("/checked", dependencies=[Depends(check)])(lambda: "ok")
