"""Links lead somewhere, and commands that pages name exist."""

from __future__ import annotations

import re
import shlex

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


def command_lines(page: str) -> list[list[str]]:
    """Every `rimlock` command of a page's shell blocks, as words."""
    written = [line for block in blocks(page) if block.language == "sh" for line in block.code.splitlines()]
    found = [line[line.index("rimlock ") :] for line in written if re.search(r"(^|[;&|] *|\$\()rimlock ", line.strip())]
    return [shlex.split(line.partition("|")[0], comments=True)[1:] for line in found]


def commands(page: str) -> list[list[str]]:
    """The same, and those that stand in the text."""
    spoken = INLINE.findall((ROOT / page).read_text(encoding="utf-8"))
    return command_lines(page) + [shlex.split(line)[1:] for line in spoken]


WITH_COMMANDS = [page for page in pages() if not page.startswith(GENERATED) and commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_command_exists(page, generate):
    """A command that a page names is one, and takes the options that stand behind it."""
    known = generate.commands()
    assert not [" ".join(words) for words in commands(page) if not takes(known, words) and not is_group(known, words)]


@pytest.mark.parametrize("page", [page for page in WITH_COMMANDS if command_lines(page)])
def test_every_command_line_is_whole(page, generate):
    """A command line that a page shows has every argument that its command needs."""
    known = generate.commands()
    assert not [" ".join(words) for words in command_lines(page) if lacks(known, words)]


def test_a_wrong_command_is_found(generate):
    """A command that is none, an option it does not take and a missing argument are seen."""
    known = generate.commands()
    assert not takes(known, ["db", "sideways"])
    assert not takes(known, ["db", "upgrade", "--quickly"])
    assert takes(known, ["db", "downgrade", "base", "--yes"])
    assert lacks(known, ["db", "downgrade", "--yes"])
    assert lacks(known, ["db"])
    assert is_group(known, ["db"])
    assert not is_group(known, ["db", "upgrade"])
    assert not is_group(known, ["sideways"])


def takes(known, words) -> bool:
    """Say whether the words are a command, or ask for help, with options it has."""
    path = path_of(known, words)
    if path is None:
        return words[0] in {"COMMAND", "--help", "--version"} or words[1:] == ["--help"]
    options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
    return options <= {option for one in known[path].params for option in one.opts}


def is_group(known, words) -> bool:
    """Say whether the one word stands for several commands, as a text may name them together."""
    return len(words) == 1 and any(len(path) > 1 and path[0] == words[0] for path in known)


def lacks(known, words) -> bool:
    """Say whether an argument that the command needs is not there, or the command itself."""
    path = path_of(known, words)
    if path is None:
        return is_group(known, words)
    needed = [one for one in known[path].params if one.param_type_name == "argument" and one.required]
    return len([word for word in words[len(path) :] if not word.startswith("--")]) < len(needed)


def path_of(known, words) -> tuple[str, ...] | None:
    """Return the words that name the command."""
    return next((tuple(words[:length]) for length in (2, 1) if tuple(words[:length]) in known), None)
