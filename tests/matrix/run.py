"""Run the gate's tests against the FastAPI releases Rimlock supports, each in an environment of its own.

Usage: `python tests/matrix/run.py [release ...]`, for instance `python tests/matrix/run.py 0.115.* newest`.
The environments are kept under `.rimlock/matrix/` and made again when this project's dependencies change.
Prints one line for each release and exits with 1 when one of them fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".rimlock" / "matrix"
RELEASES = ("0.115.*", "0.128.*", "0.136.*", "0.137.2", "0.141.*", "newest")
TOOLS = ("pytest", "anyio", "hypothesis", "websockets", "uvicorn", "httpx", "httpx2")
SUITE = ("tests/gate", "tests/property/test_routing.py")
OLD_WARNING = "ignore:The anyio.abc.BlockingPortal alias:DeprecationWarning"
"""Raised by the test client of older Starlettes under a newer anyio; nothing of ours."""
VERSION = "import fastapi, starlette; print(f'FastAPI {fastapi.__version__}, Starlette {starlette.__version__}')"


def main(releases: list[str]) -> int:
    """Run the suite for each release and return the exit status."""
    failed = [release for release in releases or RELEASES if not passes(release)]
    return 1 if failed else 0


def passes(release: str) -> bool:
    """Run the suite on one release and print its line."""
    try:
        python = environment(release)
    except subprocess.CalledProcessError as broken:
        say(f"{release:<8} not installed: {(broken.stderr or '').strip().splitlines()[-1:]}")
        return False
    installed = run([python, "-c", VERSION]).stdout.strip()
    options = ["-q", "-p", "no:cacheprovider", "--confcutdir=tests/gate", "-o", "addopts=--import-mode=importlib"]
    options += ["-W", OLD_WARNING]
    result = run([python, "-m", "pytest", *options, *SUITE], check=False)
    lines = result.stdout.strip().splitlines() or [result.stderr.strip()]
    say(f"{release:<8} {installed}: {lines[-1]}")
    if result.returncode:
        say("\n".join(lines[-60:]))
    return result.returncode == 0


def environment(release: str) -> str:
    """Return the interpreter of the release's environment, made if it is missing or out of date."""
    wanted = "fastapi" if release == "newest" else f"fastapi=={release}"
    key = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + wanted.encode()).hexdigest()[:12]
    place = CACHE / f"{release.replace('*', 'x')}-{key}"
    python = str(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        install(place, python, [wanted, *TOOLS, *dependencies()])
        (place / "ready").touch()
    return python


def install(place: Path, python: str, wanted: list[str]) -> None:
    """Make the environment with uv where it is on the path, with venv and pip otherwise."""
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
        run([uv, "pip", "install", "--quiet", "--python", python, *wanted])
    else:
        venv.create(place, with_pip=True)
        run([python, "-m", "pip", "install", "--quiet", *wanted])


def dependencies() -> list[str]:
    """Return what the project needs. The project itself is run from the working tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [str(one) for one in project["dependencies"]]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's root, with the working tree's sources on the path."""
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, text=True, capture_output=True, check=check
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
