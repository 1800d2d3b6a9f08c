"""The page on which the first administrator chooses a password: one file, no script, nothing from elsewhere.

Threat: a one-time secret that leaves in a referrer or to another host; a page another site frames.
Source: OWASP ASVS 5.0 V3.4.3 (content security policy), V3.4.5 (referrer); WHATWG HTML (autofill names).
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

__all__ = ["PAGE_HEADERS", "done_page", "first_admin_page", "refused_page"]

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:10vh auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}label{display:block;margin:1rem 0 .25rem}input{box-sizing:border-box;width:100%;padding:.6rem;"
    "font:inherit;border:1px solid #767676;border-radius:.4rem}button{margin-top:1.5rem;padding:.6rem 1.2rem;"
    "font:inherit;color:#fff;background:#14532d;border:0;border-radius:.4rem}.error{color:#9f1239}"
)
_STYLE_SOURCE = b64encode(sha256(_STYLE.encode()).digest()).decode()

PAGE_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_SOURCE}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
}
"""Beside the headers that every answer of ours has."""


def first_admin_page(token: str, *, email: str = "", username: str = "", problems: tuple[str, ...] = ()) -> str:
    """Return the form. `problems`: sentences about the last attempt; the password is never put in again."""
    told = "".join(f'<p class="error" role="alert">{escape(sentence)}</p>' for sentence in problems)
    return _page(
        "First administrator",
        f"""{told}
<form method="post" action="first-admin" autocomplete="on">
<input type="hidden" name="token" value="{escape(token)}">
<label for="email">Email</label>
<input id="email" name="email" type="email" autocomplete="email" required maxlength="320" value="{escape(email)}">
<label for="username">Username (may be left out)</label>
<input id="username" name="username" autocomplete="username" maxlength="64" value="{escape(username)}">
<label for="password">Password, at best a few words in a row</label>
<input id="password" name="password" type="password" autocomplete="new-password" required>
<button>Make the account</button>
</form>""",
    )


def done_page() -> str:
    """Return what is shown once the account is made."""
    return _page("Done", "<p>The administrator's account is made. Sign in with it now; this link is worth nothing.</p>")


def refused_page(sentence: str) -> str:
    """Return what is shown to somebody whose link is worth nothing."""
    return _page("Not possible", f'<p class="error" role="alert">{escape(sentence)}</p>')


def _page(title: str, content: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>\n{content}\n</main></body></html>\n"
    )
