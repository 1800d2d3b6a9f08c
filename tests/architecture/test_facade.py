"""The front of the house: few names, and each of them there."""

from __future__ import annotations

import rimlock

MOST_NAMES = 25


def test_the_facade_is_small_and_true():
    """What `rimlock` offers fits on a page, has no duplicates, and can be had."""
    names = getattr(rimlock, "__all__", [])
    assert len(names) <= MOST_NAMES
    assert len(set(names)) == len(names)
    assert not [name for name in names if not hasattr(rimlock, name)]
