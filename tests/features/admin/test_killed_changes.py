"""A server that is killed in the middle of a forced change has made it wholly or not at all."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from features.admin.staff import BETTER, GENEROUS, rows, session, staffed
from parts.ladder import free_port
from rimlock.core.users import NewUser
from rimlock.features.admin import logic

SERVED = Path(__file__).with_name("served_admin.py")
PEOPLE, KILLS, SEED = 12, 4, 20_260_301


def made(url):
    """Make accounts, each with a temporary password; return address and password."""
    _, auth, _ = staffed(url, **GENEROUS)

    async def make():
        await auth.start()
        people = {}
        for number in range(PEOPLE):
            email = f"p{number}@example.com"
            _, given = await logic.create(auth.context, NewUser(email=email), roles=(), by=None)
            people[email] = given.password
        await auth.stop()
        return people

    return asyncio.run(make())


def sent(port, path, body):
    """Return the status and the answer, or None for no answer at all."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def answered(port, path, body):
    """Ask until there is an answer."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        found = sent(port, path, body)
        if found is not None:
            return found
        time.sleep(0.02)
    raise TimeoutError("the server did not come back")


def change(port, email, given, acknowledged):
    """Sign in with the temporary password and choose another, once; note whether that was acknowledged."""
    status, begun = answered(port, "/auth/login", {"login": email, "password": given})
    assert status == 403, begun
    found = sent(port, "/auth/password/forced", {"pending_token": begun["pending_token"], "new_password": BETTER})
    acknowledged[email] = found is not None and found[0] == 200


@pytest.mark.req("L9")
def test_a_kill_leaves_one_password_that_counts(database_url):
    """Whatever the moment: the temporary password still counts, or the new one does; never both, never neither."""
    people, port, dice = made(database_url), free_port(), random.Random(SEED)
    environment = {**os.environ, "SERVED_DATABASE": database_url, "SERVED_PORT": str(port)}

    def start():
        return subprocess.Popen([sys.executable, str(SERVED)], env=environment)

    server, acknowledged = start(), {}
    try:
        work = [Thread(target=change, args=(port, *person, acknowledged), daemon=True) for person in people.items()]
        for thread in work:
            thread.start()
        for _ in range(KILLS):
            answered(port, "/auth/login", {"login": "nobody", "password": "x"})
            time.sleep(dice.random() * 0.05)
            server.kill()
            server.wait()
            server = start()
        for thread in work:
            thread.join(300)
        assert set(acknowledged) == set(people)
        for email, given in people.items():
            temporary, _ = answered(port, "/auth/login", {"login": email, "password": given})
            own, _ = answered(port, "/auth/login", {"login": email, "password": BETTER})
            assert (temporary, own) in {(403, 401), (401, 200)}, email
            assert own == 200 or not acknowledged[email], "what was acknowledged counts"
    finally:
        server.kill()
        server.wait()
    _, auth, _ = staffed(database_url)

    async def kept():
        await auth.start()
        found = await auth.database.read(rows(session))
        await auth.stop()
        return found

    assert {row["ended_at"] for row in asyncio.run(kept())} <= {None}
