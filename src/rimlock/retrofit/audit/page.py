"""One page of HTML with everything in it, to be read from a file, on paper, or by somebody without Rimlock.

Threat: a route whose name runs as a script in the reader's browser; a report that calls home.
Source: CSP level 3 (hashes); WCAG 2.2, 1.4.1 (not by colour alone) and 2.1.1 (keyboard); OWASP ASVS 5.0 V3.4.3.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from rimlock.core.access import Stage
from rimlock.core.principal import ANONYMOUS_KIND
from rimlock.retrofit.audit.claims import claim_of, shares_in_words
from rimlock.retrofit.audit.inside import words_of
from rimlock.retrofit.audit.markup import Html, element

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rimlock.retrofit.audit.callers import Caller
    from rimlock.retrofit.audit.inventory import AuditedRoute, Inventory
    from rimlock.retrofit.audit.judging import Remark

__all__ = ["page"]

MEANING = {
    Stage.OPEN: "answers everybody, as before",
    Stage.OBSERVE: "answers everybody; who would be refused is recorded",
    Stage.OPTIONAL: "knows who somebody is where it can; lets the rest through",
    Stage.REQUIRED: "a fitting credential, or refused",
}
COLUMNS = {"route": "Route", "who": "Who may", "rule": "Rule", "code": "Function", "seen": "Last seen"}
FULL = {Stage.OPEN: 0, Stage.OBSERVE: 1, Stage.OPTIONAL: 2, Stage.REQUIRED: 3}
"""How far the sign of a stage is filled, for whoever cannot tell the colours apart."""

_PARAMETER = re.compile(r"(\{[^}]*\})")


def page(title: str, inventory: Inventory, remarks: Sequence[Remark], *, now: float, note: str = "") -> str:
    """Return the page. `title`: the application's name; `note`: one more sentence below it, such as what was probed."""
    style, script = _resource("page.css"), _resource("page.js")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="robots", content="noindex"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Routes of {title}"),
        element("style", Html(style)),
    )
    body = element(
        "body",
        element("a", "Skip to the routes", class_="skip", href="#routes"),
        _opening(title, inventory, remarks, now, note),
        element("main", _remarks(remarks), _tools(), element("div", *_groups(inventory, remarks), id="routes")),
        element("footer", "Written by rimlock routes. It holds no secret, and no value of a credential."),
        element("script", Html(script)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


@cache
def _resource(name: str) -> str:
    return files(__name__.rpartition(".")[0]).joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Allow this style sheet and this script, and nothing else from anywhere."""
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    rest = "base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; {rest}"


def _opening(title: str, inventory: Inventory, remarks: Sequence[Remark], now: float, note: str) -> Html:
    hosts = inventory.hosts
    stages = Counter(route.ruling.stage for route in hosts)
    failing = sum(remark.fails for remark in remarks)
    tiles = [_tile("#routes", len(hosts), "routes")]
    tiles += [_tile(f"#{stage.value}", stages[stage], _sign(stage), stage.value) for stage in Stage if stages[stage]]
    tiles += [_tile("#remarks", failing, "to mend"), _tile("#remarks", len(remarks) - failing, "to know")]
    when = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return element(
        "header",
        element("h1", f"Routes of {title}"),
        element("p", f"{when} · the default stage is {inventory.default.value}", class_="meta"),
        element("p", note, class_="meta") if note else Html(),
        element("ul", *tiles, class_="tiles"),
        _bar(stages),
    )


def _tile(where: str, count: int, *what: str) -> Html:
    return element("li", element("a", element("b", count), *what, href=where), class_="tile")


def _bar(stages: Counter[Stage]) -> Html:
    total = sum(stages.values()) or 1
    begin, parts = 0.0, []
    for stage in Stage:
        width = 100 * stages[stage] / total
        parts.append(element("rect", x=f"{begin:.3f}%", y="0", width=f"{width:.3f}%", height="10", class_=stage.value))
        begin += width
    said = ", ".join(f"{stages[stage]} {stage.value}" for stage in Stage)
    return element("svg", element("title", said), *parts, class_="bar", role="img")


def _tools() -> Html:
    return element(
        "div",
        element("label", "Filter routes", class_="name-hidden", for_="filter"),
        element(
            "input", id="filter", type="search", placeholder="Filter: path, role, file, caller …", autocomplete="off"
        ),
        _switch("attention", "only what has a remark", on=False),
        _switch("own", "Rimlock's own routes", on=True),
        element("span", id="shown", class_="shown", role="status"),
        element("span", element("kbd", "/"), " to filter", class_="small keys"),
        class_="tools",
        role="search",
        hidden=True,
    )


def _switch(name: str, what: str, *, on: bool) -> Html:
    return element("label", element("input", id=name, type="checkbox", checked=on), what, class_="check", for_=name)


def _remarks(remarks: Sequence[Remark]) -> Html:
    """Return the remarks, kind by kind, what fails first."""
    ordered = sorted(remarks, key=lambda one: (not one.fails, one.kind))
    kinds = [(kind, list(ones)) for kind, ones in groupby(ordered, key=lambda one: (one.fails, one.kind))]
    parts = [_kind(kind, ones, opened=len(ones) <= _FEW) for (_, kind), ones in kinds]
    nothing = element("p", "Nothing to remark: every route has a rule, and none of them is overdue.", class_="none")
    head = element("div", element("h2", "Remarks ", element("span", len(remarks), class_="count")), class_="head")
    return element("section", head, *(parts or [nothing]), class_="group remarks", id="remarks")


_FEW = 5
"""Remarks of one kind that are shown at once."""


def _kind(kind: str, remarks: list[Remark], *, opened: bool) -> Html:
    word = "fails" if remarks[0].fails else "note"
    alike = len({remark.why for remark in remarks}) == 1
    items = [
        element("li", _line(element("code", one.route), " ", one.what), _line(*_mended(one, alike))) for one in remarks
    ]
    return element(
        "details",
        element(
            "summary",
            element("span", word, class_=f"badge {word}"),
            element("b", kind),
            f"{len(remarks)}",
            *_why(remarks, alike),
        ),
        element("ul", *items),
        open=opened,
    )


def _why(remarks: list[Remark], alike: bool) -> list[Html]:  # noqa: FBT001 - a question, answered above
    return [element("span", remarks[0].why, class_="quiet")] if alike else []


def _mended(one: Remark, alike: bool) -> tuple[object, ...]:  # noqa: FBT001 - the same
    return ("" if alike else f"{one.why}. ", element("span", f"Mend: {one.mend}", class_="small"))


def _groups(inventory: Inventory, remarks: Sequence[Remark]) -> Iterator[Html]:
    named: dict[str, list[Remark]] = {}
    for remark in remarks:
        named.setdefault(remark.route, []).append(remark)
    for stage in Stage:
        routes = [route for route in inventory.hosts if route.ruling.stage is stage]
        if routes:
            yield _group(stage.value, _badge(stage), MEANING[stage], routes, named)
    ours = [route for route in inventory.routes if route.ours]
    if ours:
        badge = element("span", "Rimlock", class_="badge own")
        yield _group("ours", badge, "our own routes; they carry their requirements themselves", ours, named)


def _group(
    name: str, badge: Html, meaning: str, routes: Sequence[AuditedRoute], named: dict[str, list[Remark]]
) -> Html:
    head = element(
        "div",
        element("h2", badge, element("span", len(routes), class_="count")),
        element("p", meaning, class_="quiet"),
        class_="head",
    )
    labels = [element("th", element("button", label, type="button"), scope="col") for label in COLUMNS.values()]
    widths = element("colgroup", *(Html(f'<col class="{one}">') for one in COLUMNS))
    body = element("tbody", *(_row(route, named.get(route.name, ())) for route in routes))
    table = element("table", widths, element("thead", element("tr", *labels)), body)
    return element("section", head, table, class_="group", id=name, data_routes=len(routes))


def _badge(stage: Stage) -> Html:
    return element("span", _sign(stage), stage.value, class_=f"badge {stage.value}")


def _sign(stage: Stage) -> Html:
    ring = element("circle", cx="6", cy="6", r="5", fill="none", stroke_width="1.6")
    filled = element("path", d=_SLICES[FULL[stage]], stroke="none") if FULL[stage] else Html()
    return element("svg", ring, filled, viewBox="0 0 12 12", aria_hidden="true", class_=f"sign {stage.value}")


_SLICES = {
    1: "M6 6V2a4 4 0 0 1 4 4Z",
    2: "M6 2a4 4 0 0 1 0 8Z",
    3: "M6 2a4 4 0 1 1 0 8a4 4 0 1 1 0-8Z",
}


def _row(route: AuditedRoute, remarks: Sequence[Remark]) -> Html:
    cells = {
        "route": (_route_cell(route, remarks), f"{route.path} {route.method}"),
        "who": (_who(route), None),
        "rule": (_rule(route), route.stage_origin),
        "code": (_code(route), str(route.place)),
        "seen": (
            [] if route.ours else _seen(route.callers),
            str(max((one.last_seen for one in route.callers), default=0)),
        ),
    }
    return element(
        "tr",
        *(_cell(COLUMNS[name], content, key) for name, (content, key) in cells.items()),
        data_remarked=bool(remarks),
        data_own=route.ours,
    )


def _cell(label: str, content: list[Html], key: str | None) -> Html:
    return element("td", element("div", *content), data_label=label, data_key=key, class_=None if content else "empty")


def _line(*content: object, class_: str = "line") -> Html:
    return element("div", *content, class_=class_)


def _route_cell(route: AuditedRoute, remarks: Sequence[Remark]) -> list[Html]:
    parts = [
        element("span", part, class_="param") if part.startswith("{") else part for part in _PARAMETER.split(route.path)
    ]
    method = element("span", route.method, class_="method")
    name = _line(method, " ", element("bdi", *parts, class_="path"), class_="line name")
    kinds = dict.fromkeys((one.kind, one.fails) for one in remarks)
    tags = [element("span", kind, class_=f"tag {'fails' if fails else 'note'}") for kind, fails in kinds]
    shares = claim_of(route, running=True).shares
    if len(shares) > 1:
        tags.append(element("span", shares_in_words(shares), class_="tag calm"))
    return [name, _line(*tags, class_="line tags")] if tags else [name]


def _who(route: AuditedRoute) -> list[Html]:
    """Return what a caller needs by the rule, and where the rule asks for nothing, by the function itself."""
    words = words_of(route.ruling.requirement)
    if route.ruling.stage is Stage.REQUIRED:
        return [_line(word) for word in words or ["anybody known"]]
    if route.inside.demands:
        own = [_line(word) for word in route.inside.demands]
        return [*own, _line("asked by the function, by no rule", class_="line small")]
    anybody = "whoever its own check lets in" if route.inside.checks else "everybody"
    if route.ruling.stage is Stage.OPEN:
        return [_line(anybody)]
    return [_line(anybody), _line(f"asks for: {', '.join(words) or 'any credential'}", class_="line small")]


def _rule(route: AuditedRoute) -> list[Html]:
    origins = dict.fromkeys([route.stage_origin, route.demand_origin])
    lines = [_line(*_breakable(one), class_="line small") for one in origins if one != "default"]
    if route.ruling != route.configured:
        lines.append(_line(f"configured: {shares_in_words(claim_of(route).shares)}", class_="line small"))
    return lines or [_line("none: the default", class_="line small")]


def _breakable(origin: str) -> Iterator[object]:
    source, separator, pattern = origin.partition(" (")
    yield source
    if separator:
        yield element("br")
        yield element("code", pattern.removesuffix(")"))


def _code(route: AuditedRoute) -> list[Html]:
    lines = [_line(route.place.name.rpartition(".")[2])]
    if route.place.file is not None:
        lines.append(_line(element("code", route.place), class_="line small"))
    if not route.ours and route.inside.demands:
        lines.append(_line(f"demands: {', '.join(route.inside.demands)}", class_="line small"))
    for check in route.inside.checks:
        adopted = " (adopted)" if check in route.inside.adopted else ""
        lines.append(_line(f"own check: {check.rpartition('.')[2]}{adopted}", class_="line small"))
    return lines


def _seen(callers: Sequence[Caller]) -> list[Html]:
    """Return who was seen; our own routes are not counted, and say nothing."""
    if not callers:
        return [_line("nobody yet", class_="line small")]
    return [
        _line(
            element("span", datetime.fromtimestamp(one.last_seen, UTC).strftime("%Y-%m-%d"), class_="day"),
            " ",
            " · ".join(part for part in (_credential(one), one.client, f"{one.requests} requests") if part),
            class_="line small",
        )
        for one in callers
    ]


def _credential(one: Caller) -> str:
    return one.label or {ANONYMOUS_KIND: "no credential"}.get(one.credential, one.credential)
