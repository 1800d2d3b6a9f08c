"""A server that is killed at any moment has lost no session and doubled none."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from parts.ladder import free_port
from rimlock.core.engines import open_database
from rimlock.core.schema import account, session
from rimlock.crypto.opaque import read_refresh
from rimlock.crypto.secret import RootSecret

SERVED = Path(__file__).with_name("served.py")
SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
CYCLES, CLIENTS, SEED = 500, 4, 20_260_101


class Server:
    """A real server process, started again each time it is killed."""

    def __init__(self, url):
        self.port = free_port()
        self._environment = {**os.environ, "SERVED_DATABASE": url, "SERVED_PORT": str(self.port)}
        self._process = None

    def start(self):
        self._process = subprocess.Popen([sys.executable, str(SERVED)], env=self._environment)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def post(self, path, body=None):
        """Return the status and the answer; try again for as long as there is no answer at all."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", path, json.dumps(body or {}), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.02)
            finally:
                connection.close()
        raise TimeoutError("the server did not come back")


class Client(threading.Thread):
    """Signs in and refreshes, again and again; after a lost answer it asks once more with the token it has."""

    def __init__(self, server, number, cycles):
        super().__init__(daemon=True)
        self.server, self.number, self.cycles = server, number, cycles
        self.dice = random.Random(SEED + number)
        self.tokens, self.done, self.wrong = [], 0, []

    def run(self):
        for _ in range(self.cycles):
            if not self.tokens or self.dice.random() < 0.1:
                self.enter()
            else:
                self.refresh(self.dice.randrange(len(self.tokens)))
            self.done += 1

    def enter(self):
        _, answer = self.server.post(f"/enter/user{self.number}")
        self.tokens.append(answer["refresh_token"])

    def refresh(self, place):
        before = self.tokens[place]
        status, answer = self.server.post("/auth/refresh", {"refresh_token": before})
        if status != 200:
            self.wrong.append((status, answer))
            return
        after = answer["refresh_token"]
        if (
            claim(after).generation != claim(before).generation + 1
            or claim(after).session_id != claim(before).session_id
        ):
            self.wrong.append((claim(before), claim(after)))
        self.tokens[place] = after


def claim(token):
    """Return what a refresh token says."""
    return read_refresh(RootSecret([SECRET]), token)


@pytest.mark.req("L6")
def test_kills_lose_and_double_nothing(database_url):
    """Five hundred sign-ins and refreshes while the server is killed: each acknowledged one counts exactly once."""
    server, dice = Server(database_url), random.Random(SEED)
    server.start()
    clients = [Client(server, number, CYCLES // CLIENTS) for number in range(CLIENTS)]
    kills = 0
    try:
        server.post("/enter/first")
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients) and kills < 12:
            target = sum(client.done for client in clients) + dice.randrange(5, 50)
            while any(client.is_alive() for client in clients) and sum(client.done for client in clients) < target:
                time.sleep(0.001)
            time.sleep(dice.random() * 0.02)
            server.kill()
            kills += 1
            server.start()
        for client in clients:
            client.join(60)
        assert [client.wrong for client in clients] == [[]] * CLIENTS
        assert sum(client.done for client in clients) == CYCLES
        assert kills >= 5
        for client in clients:
            for place in range(len(client.tokens)):
                client.refresh(place)
        assert [client.wrong for client in clients] == [[]] * CLIENTS, "every session still refreshes"
    finally:
        server.kill()
    _check_rows(database_url, [token for client in clients for token in client.tokens])


def _check_rows(url, tokens):
    """No session has another generation than its owner knows; none stands without an account; none was ended."""
    import asyncio

    from sqlalchemy import select

    async def rows():
        database = open_database(url, lambda _: None)
        found = await database.read(lambda tx: (tx.all(select(session)), tx.all(select(account.c.user_id))))
        await database.close()
        return found

    sessions, accounts = asyncio.run(rows())
    known = {claim(token).session_id: claim(token).generation for token in tokens}
    stored = {row["id"]: row["generation"] for row in sessions}
    assert {session_id: stored.get(session_id) for session_id in known} == known
    assert {row["user_id"] for row in sessions} <= {row["user_id"] for row in accounts}
    assert [row["id"] for row in sessions if row["ended_at"] is not None] == []
    unknown = [row for row in sessions if row["id"] not in known]
    assert all(row["generation"] == 0 for row in unknown), "only a sign-in whose answer was lost is not known"
