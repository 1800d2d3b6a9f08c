"""What the repository holds works on every machine and names no particular one."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from architecture.source import ROOT

HOME = re.compile(r"(?<![\w.:/}>-])/(?:home|Users|root|work|workspace|builds)/[\w.-]")
REGISTRY = re.compile(
    r"""(?:index[-_]url|find[-_]links|registry)\s*[=:]\s*["']?(?:https?|file)://(?P<host>[^/"'\s]*)"""
)
LOCKED = re.compile(r"""(?:registry|url|resolved|tarball)"?\s*[=:]\s*"?https?://(?P<host>[^/"\s]+)""")
PUBLIC = {"pypi.org", "files.pythonhosted.org", "registry.npmjs.org"}
LOCKS = {"uv.lock", "package-lock.json", "pnpm-lock.yaml"}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that is under version control."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a checkout")
    return tuple(ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file())


def texts() -> list[tuple[str, str]]:
    """Every tracked text that a person wrote."""
    found = []
    for file in tracked():
        content = file.read_bytes()
        if file.name not in LOCKS and b"\0" not in content:
            found.append((str(file.relative_to(ROOT)), content.decode("utf-8")))
    return found


def foreign(pattern: re.Pattern[str], text: str) -> set[str]:
    """Return the hosts that a pattern finds in a text, but for the public registries."""
    return {found["host"] for found in pattern.finditer(text)} - PUBLIC


def test_no_file_names_a_place_on_somebodys_machine():
    """Absolute paths into a home directory or a build machine's work directory are nobody else's."""
    assert not [f"{name}: {found[0]}" for name, text in texts() if (found := HOME.search(text))]


def test_no_file_chooses_a_registry():
    """Where packages come from is the ordinary client's setting, not the project's."""
    assert not [f"{name}: {hosts}" for name, text in texts() if (hosts := foreign(REGISTRY, text))]


def test_lock_files_name_the_public_registries_only():
    """A lock made behind a mirror would lock everybody else out."""
    locks = [file for file in tracked() if file.name in LOCKS]
    assert ROOT / "uv.lock" in locks
    assert not [f"{file.name}: {hosts}" for file in locks if (hosts := foreign(LOCKED, file.read_text("utf-8")))]


@pytest.mark.parametrize("place", ["/ho" + "me/ann/x", "open('/ro" + "ot/.cache')", "/Us" + "ers/ann"])
def test_a_place_is_recognised(place):
    """The pattern finds what it is meant to find."""
    assert HOME.search(place)


@pytest.mark.parametrize("text", ["https://example.org/home/x", "{base}/home/page", "/homework/1", "src/root/x"])
def test_an_address_is_no_place(text):
    """Paths in addresses and relative paths are left alone."""
    assert not HOME.search(text)


def test_a_mirror_is_recognised():
    """A private index in a configuration file is found, the public one is let be."""
    assert foreign(REGISTRY, "index-" + "url = https://mirror.example/simple") == {"mirror.example"}
    assert not foreign(REGISTRY, 'registry = "https://pypi.org/simple"')
