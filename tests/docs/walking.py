"""Does what a page tells its reader to do: writes its files, runs its commands, starts its servers.

Behind a fence stands what a block is: `python file=app.py` and `toml file=…` are written, `sh` is run, `sh server` is
started in the place of the server before it, `sh stopped` is run after that was stopped. A `text` block is what the
command before it says; `…` stands for anything.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

from docs.pages import Block

__all__ = ["WALKED", "Walk"]

WALKED = {"docs/tutorial/fit-rimlock-to-your-app.md", "docs/tutorial/the-change-over-step-by-step.md"}
PORT = "8000"
UP_SECONDS, COMMAND_SECONDS = 30, 60
KEEP = "\n{ export -p; declare -f; } > .exported\n"


class Walk:
    """A reader in an empty folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.said = ""
        self._port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            **environment,
        }

    def take(self, block: Block) -> None:
        """Do what one block says. Raises AssertionError where the page is not true."""
        if block.kind.startswith("no-run: "):
            return
        if block.file:
            (self.folder / block.file).write_text(self._here(block.code), encoding="utf-8")
        elif block.language == "sh":
            self._command(block)
        elif block.language == "text":
            self._expect(block)

    def stop(self) -> None:
        """Stop the server, and whatever it started."""
        server, self._server = self._server, None
        if server is not None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=UP_SECONDS)

    def _command(self, block: Block) -> None:
        if block.kind in {"server", "stopped"}:
            self.stop()
        if block.kind == "server":
            self._serve(block)
            return
        script = "set -euo pipefail; [ ! -f .exported ] || . ./.exported\n" + self._here(block.code) + KEEP
        done = subprocess.run(["bash", "-c", script], check=False, timeout=COMMAND_SECONDS, **self._options())
        self.said = done.stdout.decode() if done.stdout else ""
        assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{self.said}"

    def _serve(self, block: Block) -> None:
        script = "[ ! -f .exported ] || . ./.exported\n" + self._here(block.code)
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                ["bash", "-c", script], start_new_session=True, **{**self._options(), "stdout": output}
            )
        until = monotonic() + UP_SECONDS
        while not _answers(self._port):
            assert monotonic() < until, f"{block} did not come up:\n{log.read_text()}"
            assert self._server.poll() is None, f"{block} ended:\n{log.read_text()}"
            sleep(0.05)
        self.said = log.read_text()

    def _expect(self, block: Block) -> None:
        for line in block.code.splitlines():
            pattern = re.escape(self._here(line)).replace("…", ".*")
            assert re.search(rf"^{pattern}\s*$", self.said, re.MULTILINE), (
                f"{block}: {line!r} is not what it said:\n{self.said}"
            )

    def _here(self, text: str) -> str:
        return text.replace(PORT, str(self._port))

    def _options(self) -> dict[str, object]:
        return {"cwd": self.folder, "env": self._environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
