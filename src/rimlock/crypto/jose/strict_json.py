"""JSON objects, read so that no two readers can differ about what they say.

Threat: duplicate members (one checker reads the first, another the last), numbers no clock can hold, texts that a
database or a log cuts short, nesting that ends the process.
Source: RFC 8259 sections 4, 6 and 8; RFC 7493 (I-JSON); RFC 7515 section 10.12.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecoder
from math import isinf
from typing import Any, NoReturn

from rimlock.crypto.jose.refusals import Reason, TokenRefused

__all__ = ["parse_object"]

_DEEPEST = 16
_LONGEST_INTEGER = 18
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parse_object(data: bytes, otherwise: Reason) -> dict[str, Any]:
    """Return the JSON object in `data` (UTF-8); raise TokenRefused, with `otherwise` when it is not one at all."""
    if data.count(b"{") + data.count(b"[") > _DEEPEST:
        _check_depth(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise TokenRefused(Reason.ENCODING) from None
    value = _decode(text.strip(" \t\r\n"), otherwise)
    if "\\u" in text:
        # Only an escape can bring in what UTF-8 and the grammar have already refused in the open.
        _check_texts(value)
    return value


def _decode(text: str, otherwise: Reason) -> dict[str, Any]:
    try:
        value, end = _DECODER.raw_decode(text)
    except ValueError:
        raise TokenRefused(otherwise) from None
    if end != len(text) or type(value) is not dict:
        raise TokenRefused(otherwise)
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenRefused(Reason.DUPLICATE_MEMBER)
    return members


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise TokenRefused(Reason.NUMBER)
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if isinf(value):
        raise TokenRefused(Reason.NUMBER)
    return value


def _constant(_name: str) -> NoReturn:
    raise TokenRefused(Reason.NUMBER)


_DECODER = JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)


def _check_depth(data: bytes) -> None:
    depth = 0
    for byte in _STRING.sub(b"", data):
        depth += (byte in b"{[") - (byte in b"}]")
        if depth > _DEEPEST:
            raise TokenRefused(Reason.DEPTH)


def _check_texts(value: dict[str, Any]) -> None:
    for text in _texts(value):
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise TokenRefused(Reason.TEXT)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
