"""HTML in which every text is escaped, because there is no other way to put one in.

Threat: a path or a name with markup in it, which runs as a script in the browser of whoever reads the report.
Source: OWASP ASVS 5.0 V1.2.1 (output encoding); HTML Living Standard section 13.3; UAX #9 (bidirectional text).
"""

from __future__ import annotations

from html import escape

__all__ = ["Html", "element", "readable"]

_VOID = frozenset({"meta", "input", "br"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, /, *content: object, **attributes: object) -> Html:
    """Return an element. Content that is not `Html` is text; attributes that are None or False are left out.

    `class_` is `class`; an underscore within a name is a hyphen.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value not in {None, False})
    inner = "".join(one if isinstance(one, Html) else escape(readable(one)) for one in content)
    return Html(f"<{tag}{given}>" if tag in _VOID else f"<{tag}{given}>{inner}</{tag}>")


def readable(value: object) -> str:
    """Return text without anything that cannot be seen: controls, escapes, marks that turn the direction."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(value))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(readable(value), quote=True)}"'
