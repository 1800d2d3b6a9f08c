"""Load over loopback: wrk where it is installed, a small client of our own where it is not."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving import CLIENT, Server

__all__ = ["Connection", "Load", "get", "request", "tool"]

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Load:
    """What one stretch of load found. `cpu`: the server's microseconds for each request; `bad`: answers but 2xx."""

    requests: int
    per_second: float
    cpu: float
    bad: int


def tool() -> str:
    """Say what makes the load."""
    return "wrk" if shutil.which("wrk") else "the built-in client"


def get(server: Server, path: str, headers: Path | None, *, seconds: float, connections: int = 32) -> Load:
    """Ask for `path` without pause. `headers`: a file of header lines, sent in turn, one with each request."""
    before, began = server.cpu(), time.perf_counter()
    if shutil.which("wrk"):
        requests, bad = _wrk(server, path, headers, seconds, connections)
    else:
        requests, bad = _builtin(server, path, headers, seconds, connections)
    took = time.perf_counter() - began
    return Load(requests, requests / took, (server.cpu() - before) / max(requests, 1) * 1e6, bad)


def _wrk(server: Server, path: str, headers: Path | None, seconds: float, connections: int) -> tuple[int, int]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["-s", str(HERE / "headers.lua")] if headers else []
    environment = {**os.environ, "BENCH_HEADERS": str(headers or "")}
    process = subprocess.Popen(
        [*command, f"http://127.0.0.1:{server.port}{path}"], env=environment, stdout=subprocess.PIPE, text=True
    )
    os.sched_setaffinity(process.pid, CLIENT)
    said = process.communicate()[0]
    counted = re.search(r"(\d+) requests in", said)
    if counted is None:
        raise RuntimeError(f"wrk said: {said}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return int(counted[1]), int(bad[1]) if bad else 0


def _builtin(server: Server, path: str, headers: Path | None, seconds: float, connections: int) -> tuple[int, int]:
    lines = headers.read_text().splitlines() if headers else [""]
    requests = [request("GET", path, [line] if line else []) for line in lines]
    return asyncio.run(_hammer(server.port, requests, seconds, connections))


async def _hammer(port: int, requests: Sequence[bytes], seconds: float, connections: int) -> tuple[int, int]:
    deadline = time.perf_counter() + seconds
    counted = bad = 0

    async def one(place: int) -> None:
        nonlocal counted, bad
        connection = Connection(port)
        while time.perf_counter() < deadline:
            status, _ = await connection.send(requests[place % len(requests)])
            counted, bad, place = counted + 1, bad + (status >= 300), place + connections
        connection.close()

    await asyncio.gather(*(one(place) for place in range(connections)))
    return counted, bad


def request(method: str, path: str, headers: Sequence[str] = (), body: bytes = b"") -> bytes:
    """Return an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Connection:
    """One kept-alive connection that sends a request and waits for its answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, data: bytes) -> tuple[int, bytes]:
        """Return the status and the body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(data)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b""
        except BaseException:
            self.close()
            raise
        return int(head[9:12]), body

    def close(self) -> None:
        """Hang up."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
