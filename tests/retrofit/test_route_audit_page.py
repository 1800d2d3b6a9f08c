"""The page: complete in itself, harmless whatever the routes are called, and readable without a script."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import date
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from fastapi import Depends, FastAPI, Security
from fastapi.security import APIKeyHeader

from access.host import every_kind_of_route, fitted
from rimlock import Rule, Stage, require_role
from rimlock.core.access import Requirement
from rimlock.retrofit.audit import Caller, standing_remarks, take_inventory
from rimlock.retrofit.audit.page import page

pytestmark = pytest.mark.req("L8")

NOW = 1_800_000_000
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe\u202c",
    "line\r\nSet-Cookie: a=b",
    "&lt;already&gt;",
    "\ud800",
]  # fmt: skip


class Read(HTMLParser):
    """What a browser sees of a page: elements with their attributes, and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.raw: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside in {"script", "style"}:
            self.raw[self._inside] = self.raw.get(self._inside, "") + data
        else:
            self.words.append(data)

    def handle_endtag(self, tag):
        self._inside = ""

    def attributes(self, name) -> list[str | None]:
        """Every value of an attribute."""
        return [held[name] for _, held in self.elements if name in held]


def shown(auth, **given) -> str:
    """The page of an application."""
    inventory = take_inventory(auth, **given)
    return page("main:app", inventory, standing_remarks(inventory, NOW, running=True), now=NOW)


@pytest.mark.attack("a route whose name is a script")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_markup_or_a_control(sqlite_url, name):
    """Paths, function names, rules, roles and callers of any content are text, and only text that can be seen."""
    app = FastAPI(openapi_url=None)

    def endpoint() -> None: ...

    endpoint.__qualname__ = endpoint.__name__ = name
    app.get(f"/x{name}", dependencies=[require_role(name)])(endpoint)
    demand = Requirement(any_role=frozenset({name}))
    auth = fitted(app, sqlite_url, rules=[Rule(pattern="/**", stage=Stage.REQUIRED, requirement=demand, source=name)])
    seen = Caller(credential="key", label=name, client=name, requests=1, last_seen=NOW)
    plain = FastAPI(openapi_url=None)
    plain.get("/x", dependencies=[require_role("x")])(lambda: None)
    plain.get("/x")(lambda: None)  # shadowed, and so remarked
    text = shown(auth, callers={("GET", f"/x{name}"): [seen]})
    text.encode()
    same = [Rule(pattern="/**", stage=Stage.REQUIRED, requirement=Requirement(any_role=frozenset({"x"})))]
    harmless = Read(shown(fitted(plain, sqlite_url, rules=same), callers={("GET", "/x"): [seen]}))
    read = Read(text)
    assert {tag for tag, _ in read.elements} <= {tag for tag, _ in harmless.elements}
    assert sum(tag == "script" for tag, _ in read.elements) == 1
    assert not [key for _, held in read.elements for key in held if key.startswith("on")]
    assert all(sign.isprintable() or sign == "\n" for word in read.words for sign in word)
    visible = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)
    assert "".join(read.words).count(visible) >= 5


def test_the_page_needs_and_allows_nothing_from_elsewhere(tmp_path, sqlite_url):
    """The policy allows this style and this script by their digests, and nothing in the page points outside."""
    read = Read(shown(fitted(every_kind_of_route(tmp_path), sqlite_url)))
    (policy,) = [held["content"] for tag, held in read.elements if held.get("http-equiv") == "Content-Security-Policy"]
    digests = {kind: b64encode(sha256(read.raw[kind].encode()).digest()).decode() for kind in ("style", "script")}
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digests['style']}'; script-src 'sha256-{digests['script']}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert read.attributes("src") == read.attributes("style") == []
    assert all(where.startswith("#") for where in read.attributes("href"))
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|innerHTML|https?:", read.raw["style"] + read.raw["script"])


def test_routes_are_grouped_by_stage_with_counts_and_signs(sqlite_url):
    """Each stage has its section, its number, its word and its own filled sign; our routes come last."""
    app = FastAPI(openapi_url=None)
    stages = ["open", "observe", "observe", "optional", "required"]
    for place, stage in enumerate(stages):
        app.get(f"/{stage}/{place}")(lambda: None)
    rules = [Rule(pattern=f"/{stage}/**", stage=Stage(stage)) for stage in dict.fromkeys(stages)]
    read = Read(shown(fitted(app, sqlite_url, features=None, rules=rules)))
    groups = [(held["id"], held["data-routes"]) for _, held in read.elements if "data-routes" in held]
    assert groups[:-1] == [("open", "1"), ("observe", "2"), ("optional", "1"), ("required", "1")]
    assert groups[-1][0] == "ours"
    signs = {held["d"] for tag, held in read.elements if tag == "path"}
    assert len(signs) == 3


def test_a_route_with_a_check_of_its_own_is_not_said_to_be_for_everybody(sqlite_url):
    """The host's own check decides where the rule asks for nothing."""
    app = FastAPI(openapi_url=None)

    def old_check(presented: str = Security(APIKeyHeader(name="X-Old"))) -> None: ...

    app.get("/guarded", dependencies=[Depends(old_check)])(lambda: None)
    text = shown(fitted(app, sqlite_url, features=None, rules=[Rule(pattern="/guarded", stage=Stage.OPEN)]))
    row = text.partition('id="open"')[2].partition("</section>")[0]
    assert "whoever its own check lets in" in row
    assert ">everybody<" not in row


def test_it_works_without_a_script_and_with_a_keyboard(tmp_path, sqlite_url):
    """Everything is in the markup; what needs the script stays hidden without it; what is clicked is a control."""
    read = Read(shown(fitted(every_kind_of_route(tmp_path), sqlite_url)))
    (tools,) = [held for _, held in read.elements if held.get("role") == "search"]
    assert "hidden" in tools
    assert "tabindex" not in {key for _, held in read.elements for key in held}
    labelled = set(read.attributes("for"))
    assert {held["id"] for tag, held in read.elements if tag == "input"} <= labelled
    headings = [held for tag, held in read.elements if tag == "th"]
    assert headings
    assert all(held["scope"] == "col" for held in headings)
    assert {"/sync", "/files", "/live", "/sub/route"} <= set(read.words)


def test_remarks_say_what_why_and_the_mend(tmp_path, sqlite_url):
    """An overdue and an unstated route are remarked, counted and marked in their rows."""
    rules = [Rule(pattern="/sync", stage=Stage.OPEN, until=date(2026, 1, 31))]
    read = Read(shown(fitted(every_kind_of_route(tmp_path), sqlite_url, rules=rules)))
    words = " ".join(read.words)
    assert "still open, and that was to be over by 2026-01-31" in words
    assert "no rule names it; the default open applies" in words
    assert "Mend: write [[route]] match" in words
    rows = [held for tag, held in read.elements if tag == "tr" and "data-own" not in held]
    assert sum("data-remarked" in held for held in rows) == len(rows) - sum(tag == "thead" for tag, _ in read.elements)
