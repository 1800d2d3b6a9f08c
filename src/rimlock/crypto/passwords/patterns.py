"""Texts that a hand or a counter makes without a thought: repetitions, runs along an alphabet or a keyboard.

Threat: sixteen characters that are long and hold no surprise: `aaaaaaaaaaaaaaaa`, `1234567890123456`.
Source: NIST SP 800-63B-4 section 3.1.1.2 (expected passwords); OWASP ASVS 5.0 V6.2.11.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

__all__ = ["is_predictable", "repeated_unit"]

_SHORTEST_HONEST_UNIT: Final = 8
_CHARACTERS_PER_RUN: Final = 4

_TRACKS: Final = (
    "12345678901",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopüasdfghjklöäyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "aoeuidhtnspyfgcrlqjkxbmwvz",
    "йцукенгшщзхъфывапролджэячсмитьбю",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujmikolp",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "147258369",
    "!@#$%^&*()_+",
    '!"§$%&/()=?',
)


def repeated_unit(text: str) -> str:
    """Return the shortest text whose repetition makes this one; the text itself when it repeats nothing."""
    period = (text + text).find(text, 1) if text else 0
    return text[:period]


def is_predictable(text: str) -> bool:
    """Whether the whole text is a short unit over and over, or a few runs along an alphabet, numbers or keyboard rows.

    A run is counted as predictable from four characters on average, so a phrase with `1234` in it is not.
    """
    unit = repeated_unit(text)
    if len(unit) < len(text) and len(unit) < _SHORTEST_HONEST_UNIT:
        return True
    return len(text) >= _CHARACTERS_PER_RUN * _runs(text)


def _runs(text: str) -> int:
    """Count the runs that make up the text, the longest first one each time."""
    count, live = 1, _EVERY_DIRECTION
    for pair in pairwise(text):
        live &= _directions(pair)
        if not live:
            count, live = count + 1, _EVERY_DIRECTION
    return count


def _directions(pair: tuple[str, str]) -> frozenset[int]:
    """Name the tracks, forwards or backwards, on which the second character follows the first."""
    step = ord(pair[1]) - ord(pair[0])
    known = _DIRECTIONS_OF_PAIR.get(pair, frozenset())
    return known | {step} if step in _CODE_POINT_STEPS else known


_CODE_POINT_STEPS: Final = frozenset({-1, 0, 1})
_FIRST_TRACK: Final = 2


def _number_tracks() -> dict[tuple[str, str], frozenset[int]]:
    directions: dict[tuple[str, str], frozenset[int]] = {}
    both_ways = [way for track in _TRACKS for way in (track, track[::-1])]
    for number, way in enumerate(both_ways, start=_FIRST_TRACK):
        for pair in pairwise(way):
            directions[pair] = directions.get(pair, frozenset()) | {number}
    return directions


_DIRECTIONS_OF_PAIR: Final = _number_tracks()
_EVERY_DIRECTION: Final = _CODE_POINT_STEPS | frozenset(range(_FIRST_TRACK, _FIRST_TRACK + 2 * len(_TRACKS)))
