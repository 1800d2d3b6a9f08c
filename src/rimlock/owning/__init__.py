"""Rows that belong to somebody: which column says so, and statements narrowed to one user."""

from __future__ import annotations

from rimlock.owning.conditions import mine, owner_of
from rimlock.owning.declaring import declare, owner_column
from rimlock.owning.rows import forget_deleted, found
from rimlock.owning.scoping import PERMISSION, owned
from rimlock.owning.single import (
    change_owned,
    change_owned_async,
    claim,
    claim_async,
    delete_owned,
    delete_owned_async,
    fetch_owned,
    fetch_owned_async,
)

__all__ = [
    "PERMISSION",
    "change_owned",
    "change_owned_async",
    "claim",
    "claim_async",
    "declare",
    "delete_owned",
    "delete_owned_async",
    "fetch_owned",
    "fetch_owned_async",
    "forget_deleted",
    "found",
    "mine",
    "owned",
    "owner_column",
    "owner_of",
]
