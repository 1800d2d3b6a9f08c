"""The few pages of ours that links in mails lead to: one file each, no script, nothing from elsewhere.

Threat: a one-time secret that leaves in a referrer, in another address or to another host; a page that another site
    frames; a program that follows every link in a mail and so uses it up.
Source: OWASP ASVS 5.0 V3.4.3 (content security policy), V3.4.5 (referrer), V3.4.6 (frames); WHATWG HTML (forms).

A page that is asked for by its link changes nothing. What is done, is done by its button, which sends the secret in the
body of a POST.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from rimlock.core.acting import acting
from rimlock.core.errors import InvalidRequest
from rimlock.core.languages import asked_for, lookup
from rimlock.web.forms import read_form
from rimlock.web.problems import SAFE_HEADERS, UnsupportedMediaType

__all__ = ["PAGE_HEADERS", "answer", "button", "form_of", "language_of", "page", "sentence"]

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:10vh auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}label{display:block;margin:1rem 0 .25rem}input[type=password]{box-sizing:border-box;width:100%;"
    "padding:.6rem;font:inherit;border:1px solid #767676;border-radius:.4rem}button{margin-top:1.5rem;"
    "padding:.6rem 1.2rem;font:inherit;color:#fff;background:#14532d;border:0;border-radius:.4rem}.error{color:#9f1239}"
    "a{color:#14532d}"
)
_STYLE_SOURCE = b64encode(sha256(_STYLE.encode()).digest()).decode()

PAGE_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_SOURCE}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
"""Beside the headers that every answer of ours has, `Referrer-Policy: no-referrer` among them."""


def page(language: str, title: str, content: str) -> str:
    """Return a page. `content` is HTML."""
    return (
        f'<!doctype html>\n<html lang="{escape(language)}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>\n{content}\n</main></body></html>\n"
    )


def button(action: str, token: str, text: str, fields: str = "") -> str:
    """Return a form that sends the secret, and whatever `fields` (HTML) ask for, in its body. `action`: relative."""
    return (
        f'<form method="post" action="{escape(action)}" autocomplete="on">\n'
        f'<input type="hidden" name="token" value="{escape(token)}">\n{fields}<button>{escape(text)}</button>\n</form>'
    )


def sentence(text: str, *, wrong: bool = False) -> str:
    """Return a paragraph; a screen reader is told at once of what is wrong."""
    return f'<p class="error" role="alert">{escape(text)}</p>' if wrong else f"<p>{escape(text)}</p>"


def answer(text: str, status: int = 200, retry_after: int | None = None) -> Response:
    """Return the page with its headers."""
    headers = {**SAFE_HEADERS, **PAGE_HEADERS} | ({"Retry-After": str(retry_after)} if retry_after else {})
    return HTMLResponse(text, status_code=status, headers=headers)


def language_of(texts: Mapping[str, Mapping[str, str]], locale: str) -> str:
    """Return in which of its languages a page is shown: the visitor's, the installation's, or English."""
    asked = lookup([asked_for(acting().languages), locale])
    return next((tag for tag in asked if tag in texts), "en")


async def form_of(request: Request) -> tuple[dict[str, object], bool]:
    """Return what was sent, and whether it came from a page's form instead of as JSON.

    Raises InvalidRequest, UnsupportedMediaType.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return dict(await read_form(request)), True
    if kind != "application/json":
        raise UnsupportedMediaType
    try:
        sent = await request.json()
    except (ValueError, RecursionError):
        raise InvalidRequest from None
    if not isinstance(sent, dict):
        raise InvalidRequest
    return sent, False
