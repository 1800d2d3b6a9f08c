"""The page somebody goes back to: one of this installation's, by its exact beginning.

Threat: a link to our own address that ends on somebody else's page, with a code in it.
Source: CWE-601; OWASP ASVS 5.0 V3.7.2; WHATWG URL (how browsers read what is almost an address).

What is compared is the text itself, of the few characters an address is made of, so that no two readers differ: no
backslash, no space, no control character, no user before an `@`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode

from rimlock.features.social.errors import NextRefused

__all__ = ["allowed_next", "with_answer"]

_LONGEST = 2000
_ADDRESS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_OURS = frozenset({"code", "error", "linked"})
"""What we say in the address ourselves: a link that says it already could be taken for ours."""


def allowed_next(wanted: str, *, home: str, origins: Iterable[str]) -> str:
    """Return the whole address of the page. Raises NextRefused.

    `wanted`: a path below `home`, or an address of one of the `origins`; empty for `home` itself.
    """
    if not wanted:
        return home + "/"
    if len(wanted) > _LONGEST or not _ADDRESS.fullmatch(wanted) or _OURS & _names(wanted):
        raise NextRefused
    if wanted.startswith("/"):
        if wanted.startswith("//"):
            raise NextRefused
        return home + wanted
    if not any(wanted == origin or wanted.startswith((f"{origin}/", f"{origin}?")) for origin in origins):
        raise NextRefused
    return wanted


def with_answer(page: str, answer: Mapping[str, str]) -> str:
    """Return the address of the page with our answer in its query."""
    address, hashed, fragment = page.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(answer)}{hashed}{fragment}"


def _names(wanted: str) -> set[str]:
    query = wanted.partition("#")[0].partition("?")[2]
    return {name for name, _ in parse_qsl(query, keep_blank_values=True)}
