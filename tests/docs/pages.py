"""The documentation as data: pages, their fenced blocks, their links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GENERATED", "ROOT", "Block", "blocks", "headings", "links", "pages"]

ROOT = Path(__file__).parents[2]
GENERATED = ("docs/reference/", "docs/errors/")

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it begins, the words behind its fence, and what stands in it."""

    page: str
    line: int
    info: str
    code: str

    @property
    def language(self) -> str:
        """The first word behind the fence."""
        return self.info.partition(" ")[0]

    @property
    def kind(self) -> str:
        """What is said behind the language: `file=…`, `server`, `stopped`, `no-run: why`."""
        return self.info.partition(" ")[2].strip()

    @property
    def file(self) -> str | None:
        """The file the block is the content of."""
        return self.kind.removeprefix("file=") if self.kind.startswith("file=") else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every page, by its path in the repository."""
    examples = sorted((ROOT / "examples").glob("*/README.md"))
    found = [*sorted(ROOT.glob("*.md")), *examples, *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(page.relative_to(ROOT)) for page in found]


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found["info"].strip(), found["code"])


def links(page: str) -> list[str]:
    """The relative targets of a page's links."""
    text = _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    targets = [found["target"] for found in _LINK.finditer(text)]
    return [target for target in targets if not re.match(r"[a-z][a-z+.-]*:", target)]


def headings(page: Path) -> set[str]:
    """The anchors a page has, as a forge makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", found["text"]) for found in _HEADING.finditer(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}
