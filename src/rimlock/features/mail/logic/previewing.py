"""Writes every mail there is into a folder, in every language, as people will see it.

Threat: a template that is wrong in one language, and found out by whoever reads that one.
Source: design section 2 (a preview of everything that is sent).
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from rimlock.core.messages import Message
from rimlock.features.mail.errors import Unwritable
from rimlock.features.mail.logic.composing import composed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.mail_url import Sender
    from rimlock.core.messages import MessageKind
    from rimlock.features.mail.logic.writing import Writer

__all__ = ["Preview", "previewed"]

TO = "reader@example.com"
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:start;padding:.35rem .6rem;border-bottom:1px solid}"
    ".broken{color:#be123c}"
)


@dataclass(frozen=True, slots=True)
class Preview:
    """One mail in one language: its subject, or why it cannot be written."""

    kind: str
    locale: str
    subject: str
    broken: str = ""


def previewed(kinds: Iterable[MessageKind], writer: Writer, sender: Sender, folder: Path, *, at: int) -> list[Preview]:
    """Write `<kind>.<locale>.html`, `.txt` and `.eml` of each, with the example's facts, and a page that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [
        _one(kind, locale, writer, sender, folder, at)
        for kind in sorted(kinds, key=lambda kind: kind.name)
        for locale in writer.languages(kind) or ["en"]
    ]
    (folder / "index.html").write_text(_index(found, folder), encoding="utf-8")
    return found


def _one(kind: MessageKind, locale: str, writer: Writer, sender: Sender, folder: Path, at: int) -> Preview:
    name = f"{kind.name}.{locale}"
    try:
        letter = writer.write(Message(kind=kind.name, to=TO, facts=kind.example, locale=locale))
        mail = composed(letter, to=TO, message_id=name, sender=sender, at=at)
    except Unwritable as error:
        return Preview(kind.name, locale, "", error.reason)
    (folder / f"{name}.txt").write_text(f"{letter.subject}\n\n{letter.text}", encoding="utf-8")
    (folder / f"{name}.eml").write_bytes(mail.content.as_bytes())
    if letter.html is not None:
        (folder / f"{name}.html").write_text(letter.html, encoding="utf-8")
    return Preview(kind.name, locale, letter.subject)


def _index(found: Iterable[Preview], folder: Path) -> str:
    lines = "\n".join(_line(one, folder) for one in found)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Mails</title><style>{_STYLE}</style></head><body><h1>Mails</h1>\n<table>\n"
        f"<tr><th>kind</th><th>language</th><th>subject</th><th></th></tr>\n{lines}\n</table></body></html>\n"
    )


def _line(one: Preview, folder: Path) -> str:
    name = f"{one.kind}.{one.locale}"
    files = [ending for ending in ("html", "txt", "eml") if not one.broken and (folder / f"{name}.{ending}").exists()]
    links = " ".join(f'<a href="{escape(name)}.{ending}">{ending}</a>' for ending in files)
    said = f'<span class="broken">{escape(one.broken)}</span>' if one.broken else escape(one.subject)
    return f"<tr><td>{escape(one.kind)}</td><td>{escape(one.locale)}</td><td>{said}</td><td>{links}</td></tr>"
