"""The features that come with Rimlock, each a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rimlock.core.rulefile import RuleFile
    from rimlock.feature import Feature

__all__ = ["standard"]


def standard(file: RuleFile) -> tuple[Feature, ...]:
    """Return every feature of ours, as an application gets them that asks for none in particular."""
    return ()
