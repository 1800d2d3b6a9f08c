"""Which language somebody is written to in: tags as they are kept, asked for by a browser, and fallen back from.

Threat: a tag that is a path to a file; a header that costs more to read than the request it came with.
Source: RFC 5646 (tags); RFC 4647 section 3.4 (lookup); RFC 9110 section 12.5.4 (Accept-Language).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rimlock.core.errors import InvalidRequest

__all__ = ["LONGEST", "asked_for", "language_form", "lookup"]

LONGEST = 35
_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_MOST_ASKED = 20
_SCRIPT, _REGION = 4, 2


def language_form(tag: str) -> str:
    """Return a tag as it is kept, like `de-AT`. Raises InvalidRequest."""
    if len(tag) > LONGEST or not _TAG.fullmatch(tag):
        wrong = {"name": "locale", "code": "locale_invalid", "detail": "Use a language tag, like de or de-AT."}
        raise InvalidRequest(errors=(wrong,))
    first, *others = tag.split("-")
    return "-".join([first.lower(), *map(_part, others)])


def asked_for(header: str) -> str | None:
    """Return the language that an `Accept-Language` likes best; None for none, or for anything that is no tag."""
    weighed = [_weighed(part) for part in header.split(",", _MOST_ASKED)[:_MOST_ASKED]]
    liked = [(weight, tag) for weight, tag in weighed if weight > 0 and len(tag) <= LONGEST and _TAG.fullmatch(tag)]
    return language_form(max(liked, key=lambda one: one[0])[1]) if liked else None


def lookup(wanted: Iterable[str | None]) -> list[str]:
    """Return the tags to try, in order: each one, then what it falls back to; `de-AT`, then `de`."""
    tried: dict[str, None] = {}
    for tag in wanted:
        if tag and len(tag) <= LONGEST and _TAG.fullmatch(tag):
            parts = language_form(tag).split("-")
            tried |= dict.fromkeys("-".join(parts[:length]) for length in range(len(parts), 0, -1))
    return list(tried)


def _part(part: str) -> str:
    return part.upper() if len(part) == _REGION else part.title() if len(part) == _SCRIPT else part.lower()


def _weighed(part: str) -> tuple[float, str]:
    tag, _, parameter = part.partition(";")
    weight = _WEIGHT.fullmatch(parameter.strip())
    return float(weight[1]) if weight else 0.0 if parameter else 1.0, tag.strip()
