"""The urlencoded forms of OAuth, parsed strictly.

Threat: a parameter sent twice and read differently by two parties; a form of ten thousand fields.
Source: RFC 6749 sections 3.2 and 4.3.2, appendix B; WHATWG URL (urlencoded parsing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from rimlock.core.errors import InvalidRequest
from rimlock.web.problems import UnsupportedMediaType

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["LONGEST_VALUE", "read_form"]

LONGEST_VALUE = 4096
MOST_FIELDS = 20


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises InvalidRequest, UnsupportedMediaType; BodyTooLarge comes from the route."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType
    try:
        text = (await request.body()).decode("utf-8")
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs) or any(len(value) > LONGEST_VALUE for value in form.values()):
        raise InvalidRequest("A field of the form is repeated or too long.")
    return form
