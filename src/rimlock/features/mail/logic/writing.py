"""Makes a letter of a message: in the reader's language, by templates that can do nothing but say it.

Threat: a display name that becomes a template, an element, a header or a second paragraph; a fact that is left out
    without anybody noticing; a language tag that is a path.
Source: OWASP ASVS 5.0 V1.2.1, V1.3.7; https://jinja.palletsprojects.com/en/stable/sandbox/.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimlock.core.languages import lookup
from rimlock.core.messages import Fact, Message, MessageKind
from rimlock.features.mail.errors import Unwritable
from rimlock.features.mail.messages import TEMPLATES

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["PARTS", "Letter", "Writer"]

PARTS = ("subject", "txt", "html")
ENGLISH = "en"
LONGEST_FACT = 2_000
LONGEST_SUBJECT = 200
_LAYOUT = "layout.html"
_RIGHT_TO_LEFT = {"ar", "fa", "he", "ur"}
_JOINERS = {"\u200c", "\u200d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is said, in one language. `html` is None for a kind that has only text."""

    kind: str
    locale: str
    subject: str
    text: str = field(repr=False)
    html: str | None = field(repr=False)


class Writer:
    """Knows the templates of every kind, those of the host before ours. Safe to use from several threads."""

    def __init__(
        self, kinds: Callable[[], Mapping[str, MessageKind]], *, product: str, locale: str, folder: Path | None = None
    ) -> None:
        """Read nothing yet. `locale`: of the installation; `folder`: templates of the host's."""
        self._kinds = kinds
        self._product = product
        self._locale = locale
        self._folder = folder
        self._made: SandboxedEnvironment | None = None

    def write(self, message: Message, locale: str | None = None) -> Letter:
        """Return the letter, in the best language there is. Raises Unwritable."""
        kind = self._kind(message.kind)
        chosen = self._language(kind, (message.locale, locale, self._locale, ENGLISH))
        facts = {name: _plain(value) for name, value in message.facts.items()}
        facts |= {"product": self._product, "locale": chosen}
        try:
            return self._written(kind.name, chosen, facts)
        except Exception as error:  # a template of the host's may raise anything
            raise Unwritable(_fault(error)) from error

    def languages(self, kind: MessageKind) -> list[str]:
        """Return every language there are templates of a kind in."""
        places = [resources.files(kind.package), *([self._folder] if self._folder else [])]
        names = [entry.name for place in places for entry in place.iterdir()]
        return sorted(
            name.removeprefix(f"{kind.name}.").removesuffix(".subject")
            for name in set(names)
            if name.startswith(f"{kind.name}.") and name.endswith(".subject")
        )

    def _kind(self, name: str) -> MessageKind:
        found = self._kinds().get(name)
        if found is None:
            raise Unwritable("the kind is not known here", passing=True)
        return found

    def _language(self, kind: MessageKind, wanted: tuple[str | None, ...]) -> str:
        for locale in lookup(wanted):
            if self._source(f"{kind.name}.{locale}.subject") is not None:
                return locale
        raise Unwritable("there is no template")

    def _written(self, name: str, locale: str, facts: dict[str, Any]) -> Letter:
        subject = " ".join(self._rendered(f"{name}.{locale}.subject", facts).split())[:LONGEST_SUBJECT]
        text = self._rendered(f"{name}.{locale}.txt", facts).strip() + "\n"
        html = None
        if self._source(f"{name}.{locale}.html") is not None:
            html = self._page(self._rendered(f"{name}.{locale}.html", facts), subject, facts)
        return Letter(kind=name, locale=locale, subject=subject, text=text, html=html)

    def _page(self, content: str, subject: str, facts: dict[str, Any]) -> str:
        """Put the inside of a page into the layout; what is a whole page already stays as it is."""
        from markupsafe import Markup

        if "<html" in content[:1_000].lower():
            return content
        right = facts["locale"].partition("-")[0] in _RIGHT_TO_LEFT
        around = {"content": Markup(content), "subject": subject, "direction": "rtl" if right else "ltr"}  # noqa: S704 - rendered with escaping, one line above
        return self._rendered(_LAYOUT, {**facts, **around})

    def _rendered(self, name: str, facts: dict[str, Any]) -> str:
        return self._environment().get_template(name).render(facts)

    def _environment(self) -> SandboxedEnvironment:
        if self._made is None:
            self._made = _environment(self._load)
        return self._made

    def _load(self, name: str) -> tuple[str, None, Callable[[], bool]] | None:
        found = self._source(name)
        return None if found is None else (found, None, lambda: self._folder is None or self._source(name) == found)

    def _source(self, name: str) -> str | None:
        """Return the text of a template: the host's, or else that in the package of its kind."""
        if "/" in name or "\\" in name or name.startswith("."):
            return None
        if self._folder is not None and (own := self._folder / name).is_file():
            return own.read_text(encoding="utf-8")
        kind = self._kinds().get(name.partition(".")[0])
        package = TEMPLATES if kind is None else kind.package
        shipped = resources.files(package).joinpath(name)
        return shipped.read_text(encoding="utf-8") if shipped.is_file() else None


def _environment(load: Callable[[str], Any]) -> SandboxedEnvironment:
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(load),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals = {"button": _button}
    return made


def _button(url: str, words: str) -> Any:
    """Return a link that looks like a button, with the address under it for who would rather copy it."""
    from markupsafe import Markup

    if not url.startswith(("https://", "http://")):
        raise ValueError("a button leads to a page")
    return Markup(
        '<p class="action"><a class="button" href="{0}" style="display:inline-block;padding:12px 20px;'
        'border-radius:6px;background:#14532d;color:#ffffff;text-decoration:none;font-weight:600">{1}</a></p>\n'
        '<p class="address" style="font-size:13px;word-break:break-all"><a href="{0}">{0}</a></p>'
    ).format(url, words)


def _fault(error: Exception) -> str:
    """Say what is wrong with a template. Only the engine's own errors are quoted: others may quote a fact."""
    from jinja2 import TemplateError

    name = f"template: {type(error).__name__}"
    return f"{name}: {error.message}" if isinstance(error, TemplateError) else name


def _plain(value: Fact) -> Fact:
    """Return a fact as one line of visible characters: it could turn the text around it, or begin another."""
    if not isinstance(value, str):
        return value
    kept = (sign if sign in _JOINERS or unicodedata.category(sign) not in _HIDDEN else " " for sign in value)
    return " ".join("".join(kept).split())[:LONGEST_FACT]


_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
