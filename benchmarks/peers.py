"""Other libraries, each in a throw-away environment of its own under `.rimlock/bench/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["PEERS", "installed"]

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".rimlock" / "bench"
_SERVER = ["fastapi", "uvicorn[standard]", "sqlalchemy[asyncio]", "aiosqlite"]
PEERS = {
    # Its SQLAlchemy adapter stops below 2.1; without the bound, pip takes a release from years ago.
    "fastapi-users": ["fastapi-users[sqlalchemy]==15.0.5", "sqlalchemy[asyncio]<2.1", *_SERVER],
    "fastapi-jwt": ["fastapi-jwt[authlib]", *_SERVER],
    "authx": ["authx", *_SERVER],
}


def installed(name: str) -> str | None:
    """Return the Python of the peer's environment, made where it is missing or was made of other packages.

    None, said loudly, where it can't be.
    """
    folder = HOME / name
    python, complete = folder / "bin" / "python", folder / "complete"
    wanted = "\n".join(PEERS[name])
    if complete.exists() and complete.read_text() == wanted:
        return str(python)
    HOME.mkdir(parents=True, exist_ok=True)
    done = None
    for command in _commands(folder, PEERS[name]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"!! SKIPPED peer {name}: it could not be installed: {done.stderr.strip()[-300:]}", flush=True)
            return None
    complete.write_text(wanted)
    return str(python)


def _commands(folder: Path, packages: list[str]) -> list[list[str]]:
    uv = shutil.which("uv") or str(ROOT / ".rimlock" / "tools" / "bin" / "uv")
    python = str(folder / "bin" / "python")
    if Path(uv).exists():
        return [
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", python, *packages],
        ]
    return [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [python, "-m", "pip", "install", "-q", *packages],
    ]
