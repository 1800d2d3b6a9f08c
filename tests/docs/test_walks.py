"""The tutorial is walked from its first line to its last."""

from __future__ import annotations

import pytest

from docs.pages import Block, blocks
from docs.walking import WALKED, Walk


@pytest.mark.req("L1", "L2", "L12")
@pytest.mark.parametrize("page", sorted(WALKED))
def test_a_reader_gets_what_the_page_says(page, tmp_path):
    """Every file, command and server of the page works in an empty folder, and says what the page says it does."""
    go(page, Walk(tmp_path))


@pytest.mark.parametrize("page", sorted(WALKED))
def test_the_same_is_true_on_postgresql(page, tmp_path, postgres_url):
    """With the two variables that the page names for it, nothing else on the page changes."""
    go(page, Walk(tmp_path, DATABASE_URL=postgres_url, RIMLOCK_SECRETS="vN3yq8Kx2mWc7Rt5Lz9Hs4Bd6Gf1Jp0Qa"))


def test_a_walk_finds_what_is_not_true(tmp_path):
    """A command that fails, and one that says something else, fail the page."""
    walk = Walk(tmp_path)
    walk.take(Block("planted", 1, "sh", "export WORD=one; echo two\n"))
    walk.take(Block("planted", 2, "sh", "echo $WORD\n"))
    walk.take(Block("planted", 3, "text", "o…\n"))
    with pytest.raises(AssertionError, match="not what it said"):
        walk.take(Block("planted", 4, "text", "two\n"))
    with pytest.raises(AssertionError, match="ended with 1"):
        walk.take(Block("planted", 5, "sh", "false\n"))


def go(page: str, walk: Walk) -> None:
    """Take every block of the page, and leave no server behind."""
    try:
        for block in blocks(page):
            walk.take(block)
    finally:
        walk.stop()
