"""Links lead somewhere, and commands that pages name exist."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from docs.pages import GENERATED, ROOT, blocks, headings, links, pages

INLINE = re.compile(r"`(rimlock [a-z][^`]*)`")


@pytest.mark.parametrize("page", pages())
def test_every_relative_link_resolves(page):
    """The file is there, and so is the heading when the link names one."""
    lost = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        file = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        if not file.exists() or (anchor and anchor not in headings(file)):
            lost.append(link)
    assert not lost


def test_every_page_can_be_reached():
    """Each page is linked from another, beginning at the README."""
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.endswith(".md"):
            continue
        reached.add(page)
        targets = [((ROOT / page).parent / link.partition("#")[0]).resolve() for link in links(page)]
        waiting += [str(one.relative_to(ROOT)) for one in targets if one.is_file() and one.is_relative_to(ROOT)]
    assert not set(pages()) - reached - {page for page in pages() if page.startswith("docs/decisions/")}


def commands(page: str) -> list[list[str]]:
    """Every `rimlock` command line of a page, as words."""
    written = [line for block in blocks(page) if block.language == "sh" for line in block.code.splitlines()]
    written += INLINE.findall((ROOT / page).read_text(encoding="utf-8"))
    found = [line[line.index("rimlock ") :] for line in written if re.search(r"(^|[;&|] *|\$\()rimlock ", line.strip())]
    return [shlex.split(line.partition("|")[0], comments=True)[1:] for line in found]


WITH_COMMANDS = [page for page in pages() if not page.startswith(GENERATED) and commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_command_exists(page):
    """A command line that a page shows has a command and only options that this command takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        import generate

        known = generate.commands()
    wrong = []
    for words in commands(page):
        path = next((words[:length] for length in (2, 1) if tuple(words[:length]) in known), None)
        general = words[0] in {"COMMAND", "--help", "--version"} or words[1:] == ["--help"]
        options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
        if path is None:
            wrong += [] if general else [" ".join(words)]
        elif options - {option for one in known[tuple(path)].params for option in one.opts}:
            wrong.append(" ".join(words))
    assert not wrong
    assert "generate" in sys.modules
