"""What one of several racing processes runs: `guessing.py SETTINGS LOGIN TIMES`, started by a line on stdin."""

from __future__ import annotations

import asyncio
import json
import sys

import httpx2

from features.password.office import CountingHasher, installed


async def _race(settings, login, times):
    hasher = CountingHasher()
    app, auth, _ = installed(settings.pop("database"), hasher=hasher, **settings)
    await auth.start()
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        sent = [{"login": login, "password": f"wrong {n}"} for n in range(times)]
        answers = await asyncio.gather(*(client.post("/auth/login", json=one) for one in sent))
    await auth.stop()
    return [answer.status_code for answer in answers], hasher.work.count("verify")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_race(json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
