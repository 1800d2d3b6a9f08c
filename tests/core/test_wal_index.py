"""The shared index of a SQLite file: every commit shows in it, and looking at it costs SQLite no lock."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rimlock.core.wal_index import watch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such index to map on Windows")

ELSEWHERE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
try:
    connection.execute(sys.argv[2])
except sqlite3.OperationalError as error:
    print(error)
"""


def elsewhere(path: Path, statement: str) -> str:
    """Run a statement in another process; return what SQLite complained of."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(path), statement], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def opened(path: Path) -> sqlite3.Connection:
    """Return a connection in WAL mode that has read."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS line (n)")
    connection.execute("SELECT * FROM line").fetchall()
    return connection


def test_every_commit_of_another_process_shows(tmp_path: Path) -> None:
    """The head stays the same while nobody commits, and is another after each commit, checkpoints included."""
    path = tmp_path / "a.db"
    connection = opened(path)
    index = watch(str(path))
    assert index is not None
    seen = {index.head()}
    assert index.head() in seen
    for statement in ("INSERT INTO line VALUES (1)", "INSERT INTO line VALUES (2)", "DELETE FROM line"):
        assert elsewhere(path, statement) == ""
        assert index.head() not in seen
        seen.add(index.head())
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = index.head()
    assert elsewhere(path, "INSERT INTO line VALUES (3)") == ""
    assert index.head() != before
    connection.close()
    index.release()


def test_letting_go_of_the_index_gives_up_no_lock(tmp_path: Path) -> None:
    """While this process writes, another stays locked out, also after an index of the same file was released."""
    path = tmp_path / "a.db"
    connection = opened(path)
    connection.execute("BEGIN IMMEDIATE")
    index = watch(str(path))
    assert index is not None
    index.release()
    assert "locked" in elsewhere(path, "BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    assert elsewhere(path, "BEGIN IMMEDIATE") == ""
    connection.close()


def test_a_file_that_comes_and_goes_uses_up_no_descriptors(tmp_path: Path) -> None:
    """However often a database is opened, watched and closed, the number of open files stays what it was."""
    path = tmp_path / "a.db"

    def once() -> None:
        connection = opened(path)
        index = watch(str(path))
        assert index is not None
        connection.close()
        index.release()

    once()
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(20):
        once()
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_the_same_file_is_not_opened_twice(tmp_path: Path) -> None:
    """An index that was released while SQLite goes on is taken up again."""
    path = tmp_path / "a.db"
    connection = opened(path)
    first = watch(str(path))
    assert first is not None
    first.release()
    assert watch(str(path)) is first
    connection.close()
    first.release()


def test_without_a_shared_index_there_is_nothing_to_watch(tmp_path: Path) -> None:
    """A database in another journal mode, or a file that is no index, is not watched."""
    path = tmp_path / "a.db"
    sqlite3.connect(path, isolation_level=None).close()
    assert watch(str(path)) is None
    Path(f"{path}-shm").write_bytes(b"\0" * 4096)
    assert watch(str(path)) is None
