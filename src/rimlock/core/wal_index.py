"""Whether anybody committed to a SQLite file, seen where SQLite itself looks: in the head of its shared index.

Threat: a commit that is not seen; a lock of SQLite's that is lost because somebody else closed the same file.
Source: https://sqlite.org/walformat.html section 2.1 (the header, twice, changed by every transaction);
    https://sqlite.org/howtocorrupt.html section 2.2 (closing a file gives up the process's locks on it).

Equal bytes mean that nothing was committed. Other bytes, also half-written ones, only mean that the database has to
be asked. So every mistake on this side costs time and never an answer.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["HEAD", "WalIndex", "watch"]

HEAD = 96
"""Two copies of 48 bytes each."""

_VERSION = (3_007_000).to_bytes(4, sys.byteorder)
_INITIALISED = 12

_kept: list[WalIndex] = []
"""Given up, but not yet closed: SQLite may still hold locks on the same file."""


class WalIndex:
    """The head of one shared index, mapped for reading."""

    __slots__ = ("_file", "map")

    def __init__(self, file: int) -> None:
        """`file`: a descriptor of the `-shm` file. Raises OSError, ValueError."""
        self._file = file
        self.map = mmap.mmap(file, HEAD, access=mmap.ACCESS_READ)

    def head(self) -> bytes:
        """Return the bytes that differ after every commit."""
        return self.map[:HEAD]

    @property
    def sound(self) -> bool:
        """Whether this is an index in use, of the one version there is."""
        head = self.head()
        return head[:4] == _VERSION and head[_INITIALISED] == 1

    def release(self) -> None:
        """Close as soon as SQLite has removed the file; until then the descriptor is kept."""
        _kept.append(self)
        _close_removed()

    def _close_if_removed(self) -> bool:
        if os.fstat(self._file).st_nlink:
            return False
        self.map.close()
        os.close(self._file)
        return True


def watch(path: str) -> WalIndex | None:
    """Return the index of the database at `path`, which a connection of the caller's is reading; None if there is none.

    The connection has to stay open as long as the index is used: SQLite removes the file with the last one.
    """
    if sys.platform == "win32":  # there a mapped file cannot be removed, and SQLite wants to
        return None
    _close_removed()
    beside = f"{os.path.realpath(path)}-shm"
    with suppress(OSError):
        return _already_open(beside) or _opened(beside)
    return None


def _already_open(beside: str) -> WalIndex | None:
    """A file that was opened before is not opened again: a database that comes and goes would use up descriptors."""
    there = Path(beside).stat()
    for index in _kept:
        if os.path.samestat(os.fstat(index._file), there):  # noqa: SLF001 - its own module
            _kept.remove(index)
            return index
    return None


def _opened(beside: str) -> WalIndex | None:
    file = os.open(beside, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        index = WalIndex(file)
    except ValueError:  # the file is too short to be one; nothing is closed, see above
        return None
    if not index.sound:
        index.release()
        return None
    return index


def _close_removed() -> None:
    _kept[:] = [index for index in _kept if not index._close_if_removed()]  # noqa: SLF001 - its own module
