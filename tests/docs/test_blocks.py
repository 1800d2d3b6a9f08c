"""Every Python block of every page runs, in order, page by page."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
from pathlib import Path
from typing import Any

import pytest

from docs.pages import GENERATED, Block, blocks, pages
from docs.walking import WALKED

OURS = ("RIMLOCK_", "DATABASE_URL", "JWT_SECRET", "ALLOWED_ORIGINS", "REDIS_URL")


def runnable(page: str) -> list[Block]:
    """What of a page can be run or written; the files of a walked page are written on that walk."""
    found = [block for block in blocks(page) if block.language == "python" or block.file]
    return [one for one in found if not one.kind.startswith("no-run: ") and not (page in WALKED and one.file)]


WITH_PYTHON = [page for page in pages() if not page.startswith(GENERATED) and runnable(page)]


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> None:
    """An empty folder to stand in, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_blocks_of_a_page_run(page, tmp_path, nowhere):
    """What a reader pastes runs: in an empty directory, without a setting, each block after those before it."""
    space: dict[str, Any] = {"__name__": "page"}
    for block in runnable(page):
        run(block, space, tmp_path)


def test_the_application_of_the_readme_answers_as_it_says(tmp_path, nowhere):
    """The first twenty lines: the old route answers everybody, the new ones ask who it is and what they may do."""
    from fastapi.testclient import TestClient

    from rimlock.testing import sign_in

    space: dict[str, Any] = {"__name__": "page"}
    for block in runnable("README.md"):
        run(block, space, tmp_path)
    with TestClient(space["app"]) as client:
        ann = sign_in(space["auth"], client)
        assert client.get("/reports").json() == ["2026-03"]
        assert client.get("/notebooks").status_code == 401
        assert client.get("/notebooks", headers=ann.headers).status_code == 200
        assert client.delete("/notebooks", headers=ann.headers).status_code == 403
        root = sign_in(space["auth"], client, email="root@example.com", roles=["admin"])
        assert client.delete("/notebooks", headers=root.headers).status_code == 200
        assert "RimlockPassword" in client.get("/openapi.json").json()["components"]["securitySchemes"]


def test_a_block_that_fails_is_found(tmp_path):
    """An assertion that does not hold fails the page, also behind an await."""
    with pytest.raises(AssertionError):
        run(Block("planted", 1, "python", "import asyncio\nawait asyncio.sleep(0)\nassert False\n"), {}, tmp_path)


def test_a_block_that_is_not_run_says_why():
    """`no-run` is followed by a reason."""
    unsaid = [str(one) for page in pages() for one in blocks(page) if "no-run" in one.info and len(one.info) < 24]
    assert not unsaid


def run(block: Block, space: dict[str, Any], folder: Path) -> None:
    """Run one block in a namespace; one that is a file is written there first."""
    if block.file:
        (folder / block.file).write_text(block.code, encoding="utf-8")
    if block.language != "python":
        return
    code = compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, space))
    else:
        exec(code, space)
