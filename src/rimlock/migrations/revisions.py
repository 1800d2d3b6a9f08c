"""Which schemas there are, in order, and what to say to a database that is at another one.

Threat: a process that serves on a schema it was not written for, and an operator who can't tell what to run.
Source: design section 1.4 (every change can be undone).
"""

from __future__ import annotations

from rimlock.core.errors import ConfigurationError, SchemaMismatch

__all__ = ["REVISIONS", "head", "mismatch", "named"]

REVISIONS = ("0001", "0002", "0003")
"""Every revision, oldest first. Written out, so that a start needs no look at the scripts."""


def head() -> str:
    """Return the revision that this version of Rimlock works with."""
    return REVISIONS[-1]


def mismatch(current: str | None) -> SchemaMismatch | None:
    """Return what is wrong with a database at `current` (None: without our tables), or None when it fits.

    The message names the command that mends it. Whether to start all the same is the caller's to decide.
    """
    if current == head():
        return None
    if current is None:
        return SchemaMismatch("the database has none of Rimlock's tables yet; run `rimlock db upgrade`")
    if current in REVISIONS:
        return SchemaMismatch(
            f"the database is at schema {current} and this version of Rimlock needs {head()}; run `rimlock db upgrade`"
        )
    return SchemaMismatch(
        f"the database is at schema {current}, which is newer than this version of Rimlock (it knows up to {head()}); "
        f"install the newer version, or, with that one still installed, run `rimlock db downgrade {head()}` first"
    )


def named(revision: str) -> str:
    """Return the revision itself, `head` and `base` included. Raises ConfigurationError when there is none such."""
    if revision in {"head", "base", *REVISIONS}:
        return revision
    known = ", ".join(("base", *REVISIONS, "head"))
    raise ConfigurationError(f"there is no schema revision {revision!r}; this version of Rimlock knows {known}")
