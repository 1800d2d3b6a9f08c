"""A wire to a server that a test can cut and mend."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

__all__ = ["Wire", "until"]


def until(happened, patience=1.0):
    """Ask again and again until it has happened; return the last answer after `patience` seconds at the latest."""
    deadline = time.monotonic() + patience
    while not (found := happened()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


class Wire:
    """Carries bytes between a port of its own and a server, until it is cut."""

    def __init__(self, url):
        """`url`: of the server; `self.url` is the same one through the wire."""
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._ear = socket.create_server(("127.0.0.1", 0))
        self._ends, self._whole, self._lock = set(), True, threading.Lock()
        credentials = parts.netloc.rpartition("@")[0]
        place = f"{credentials}@127.0.0.1:{self._ear.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=place))
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()
        self._ear.close()

    def cut(self):
        """Break every connection and let no new one through."""
        with self._lock:
            self._whole = False
            ends, self._ends = self._ends, set()
        for end in ends:
            _shut(end)

    def mend(self):
        """Let connections through again."""
        with self._lock:
            self._whole = True

    def _accept(self):
        with suppress(OSError):
            while True:
                caller, _ = self._ear.accept()
                self._connect(caller)

    def _connect(self, caller):
        with self._lock:
            if not self._whole:
                caller.close()
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                caller.close()
                return
            self._ends |= {caller, server}
        for ends in ((caller, server), (server, caller)):
            threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with self._lock:
            self._ends -= {source, sink}
        for end in (source, sink):
            _shut(end)


def _shut(end):
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()
