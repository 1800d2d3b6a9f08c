"""The rule book: which rule speaks for a route, and the file it is written in."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rimlock import ConfigurationError, Requirement, Rule, Stage
from rimlock.core.access import Permissions, RuleBook, allows
from rimlock.core.rulefile import ImportedKey, parse_rules, read_rule_file

pytestmark = pytest.mark.req("L2")
LAB = Path(__file__).parents[2] / "examples/lab/rimlock.toml"
ADMIN = Requirement(any_role=frozenset({"admin"}))
KEYS = Requirement(credentials=frozenset({"key"}))


def test_run_time_wins_over_the_file_and_the_file_over_code():
    """Also where the weaker source says it more exactly."""
    code = Rule(pattern="GET /a", stage=Stage.OPEN)
    file = Rule(pattern="/a", stage=Stage.OBSERVE, source="rimlock.toml")
    running = Rule(pattern="/**", stage=Stage.REQUIRED, source="run time, ann")
    assert RuleBook(code=(code,)).ruling("GET", "/a").stage is Stage.OPEN
    assert RuleBook(code=(code,), file=(file,)).ruling("GET", "/a").stage is Stage.OBSERVE
    ruling = RuleBook(code=(code,), file=(file,), running=(running,)).ruling("GET", "/a")
    assert (ruling.stage, ruling.stage_source, ruling.stated) == (Stage.REQUIRED, "run time, ann", True)


@pytest.mark.parametrize(
    "weaker, stronger",
    [
        ("/**", "/a/**"),
        ("/a/**", "/a/b"),
        ("GET /a/**", "/a/b"),
        ("/a/b", "GET /a/b"),
        ("/a/{id}", "GET /a/{id}"),
        ("GET /a/**", "/a/b/**"),
    ],
)
def test_within_a_source_the_more_exact_rule_wins_in_either_order(weaker, stronger):
    """A path over a glob, a longer glob over a shorter, a method over all methods of the same path."""
    path = stronger.split(" ")[-1].removesuffix("/**")
    rules = (Rule(pattern=weaker, stage=Stage.OPEN), Rule(pattern=stronger, stage=Stage.REQUIRED))
    for order in (rules, rules[::-1]):
        assert RuleBook(file=order).ruling("GET", path).stage is Stage.REQUIRED


def test_of_equals_the_later_wins():
    """What is written below overrides what is written above."""
    first, second = Rule(pattern="/a", stage=Stage.REQUIRED), Rule(pattern="/a", stage=Stage.OPEN)
    assert RuleBook(code=(first, second)).ruling("GET", "/a").stage is Stage.OPEN
    assert RuleBook(code=(second, first)).ruling("GET", "/a").stage is Stage.REQUIRED


def test_a_rule_for_get_speaks_for_head_and_for_no_other_method():
    """HEAD is GET without a body; an own rule for HEAD wins."""
    book = RuleBook(code=(Rule(pattern="GET /a", stage=Stage.REQUIRED),))
    assert [book.ruling(method, "/a").stage for method in ("GET", "HEAD")] == [Stage.REQUIRED] * 2
    assert {book.ruling(method, "/a").stage for method in ("POST", "PUT", "DELETE", "WS", "MOUNT")} == {Stage.OPEN}


def test_a_glob_covers_its_root_and_everything_below_and_no_neighbour():
    """`/a/**` is /a, /a/ and /a/b/c; not /ab."""
    book = RuleBook(code=(Rule(pattern="/a/**", stage=Stage.REQUIRED),))
    assert {book.ruling("GET", path).stage for path in ("/a", "/a/", "/a/b", "/a/{id}/c", "/a/é")} == {Stage.REQUIRED}
    assert {book.ruling("GET", path).stage for path in ("/", "/ab", "/b/a", "/A", "")} == {Stage.OPEN}


def test_a_pattern_is_a_template_and_no_expression():
    """Dots, brackets and braces stand for themselves."""
    book = RuleBook(code=(Rule(pattern="/a.b/{id:int}", stage=Stage.REQUIRED),))
    assert book.ruling("GET", "/a.b/{id:int}").stage is Stage.REQUIRED
    assert {book.ruling("GET", path).stage for path in ("/axb/{id:int}", "/a.b/7", "/a.b/{id}")} == {Stage.OPEN}


def test_a_route_no_rule_names_has_the_default_and_says_so():
    """`stated` is False for the default and for a demand without a stage."""
    book = RuleBook(code=(Rule(pattern="/a", requirement=ADMIN),), default=Stage.OBSERVE)
    assert (book.ruling("GET", "/b").stage, book.ruling("GET", "/b").stated) == (Stage.OBSERVE, False)
    ruling = book.ruling("GET", "/a")
    assert (ruling.stage, ruling.requirement, ruling.stated) == (Stage.OBSERVE, ADMIN, False)
    assert (book.fallback.stage, book.fallback.stated) == (Stage.OBSERVE, False)


def test_a_run_time_stage_keeps_the_demand_of_the_file():
    """Turning a route at run time says nothing about who may reach it."""
    file = Rule(pattern="GET /a", stage=Stage.REQUIRED, requirement=ADMIN, source="rimlock.toml")
    book = RuleBook(file=(file,), code=(Rule(pattern="/a", requirement=KEYS),))
    turned = book.with_running([Rule(pattern="/**", stage=Stage.OPTIONAL)])
    ruling = turned.ruling("GET", "/a")
    assert (ruling.stage, ruling.requirement, ruling.requirement_source) == (Stage.OPTIONAL, ADMIN, "rimlock.toml")


def test_a_book_with_other_changes_forgets_what_it_ruled():
    """No ruling of the old book is taken over, and the old book keeps its own."""
    book = RuleBook()
    assert book.ruling("GET", "/a").stage is Stage.OPEN
    turned = book.with_running([Rule(pattern="/a", stage=Stage.REQUIRED)])
    assert turned.ruling("GET", "/a").stage is Stage.REQUIRED
    assert book.ruling("GET", "/a").stage is Stage.OPEN


@pytest.mark.parametrize(
    "pattern", ["", "a", "GET a", "/a*", "/a**", "/a/**/b", "/**/a", "FETCH /a", "GET  POST /a", "GET", "*"]
)
def test_a_pattern_that_can_match_nothing_is_refused(pattern):
    """At construction, with the pattern in the sentence."""
    with pytest.raises(ConfigurationError, match=r"pattern|\*\*"):
        Rule(pattern=pattern)


@pytest.mark.parametrize("pattern", ["get /a", " GET /a ", "Get   /a"])
def test_the_method_may_be_written_small_and_with_space(pattern):
    """A method is a word, not a spelling."""
    assert RuleBook(code=(Rule(pattern=pattern, stage=Stage.REQUIRED),)).ruling("GET", "/a").stage is Stage.REQUIRED


@pytest.mark.parametrize(
    "granted, wanted, expected",
    [
        ({"lab:read"}, "lab:read", True),
        ({"lab:*"}, "lab:read", True),
        ({"*"}, "lab:read", True),
        ({"lab"}, "lab:read", False),
        ({"lab:read"}, "lab:*", False),
        ({"lab:*"}, "laboratory:read", False),
        ({"lab:*"}, "lab:samples:read", False),
        ({"lab:samples:*"}, "lab:samples:read", True),
        ({":*"}, "read", True),
        (set(), "", False),
    ],
)
@pytest.mark.req("L8")
def test_what_a_granted_permission_covers(granted, wanted, expected):
    """Itself, its area with `area:*`, everything with `*`; an area is the text up to the last colon."""
    assert allows(frozenset(granted), wanted) is expected


@pytest.mark.req("L8")
def test_roles_allow_the_union_and_an_unknown_role_nothing():
    """What any of the roles allow."""
    permissions = Permissions({"a": frozenset({"x"}), "b": frozenset({"y"})})
    assert permissions.of(frozenset({"a", "b", "c"})) == {"x", "y"}
    assert permissions.of(frozenset({"c"})) == frozenset()


ROUTE = '[[route]]\nmatch = "/a"\n'
MISSPELT = [
    ("defualt = 'open'", r"rimlock\.toml: defualt is not known; known are default, key, .*roles, route"),
    ("default = 'opened'", r"rimlock\.toml: 'opened' is no stage; write open, observe, optional or required"),
    ("default = 1", r"1 is no stage"),
    ("default = ['open']", r"is no stage"),
    ("[route]\nmatch = '/a'", r"write \[\[route\]\], with two brackets"),
    ("route = ['/a']", r"write \[\[route\]\]"),
    ("[key]\nname = 'a'\nenv = 'A'", r"write \[\[key\]\]"),
    ("roles = ['admin']", r"write \[roles\]"),
    ("[roles]\nadmin = '*'", r"roles\.admin: write a list of words"),
    ("[roles]\nadmin = [1]", r"roles\.admin: write a list of words"),
    ("[roles.admin]\npermissions = ['*']", r"roles\.admin: write a list of words"),
    ("[[route]]\nstage = 'open'", r"route 1: say which routes with match"),
    ("[[route]]\nmatch = []", r"route 1: say which routes with match"),
    ("[[route]]\nmatch = ''", r"route 1: say which routes with match"),
    ("[[route]]\nmatch = 'a'", r"route 1: 'a' is no route pattern"),
    ("[[route]]\nmatch = 7", r"route 1: match is a pattern or a list of patterns"),
    ("[[route]]\nmatch = ['/a', 7]", r"route 1: match is a pattern or a list of patterns"),
    ("[[route]]\nmatch = { path = '/a' }", r"route 1: match is a pattern or a list of patterns"),
    (ROUTE + "stage = 'require'", r"route 1: 'require' is no stage"),
    (ROUTE + "\n" + ROUTE + "stages = 'open'", r"route 2: stages is not known"),
    (ROUTE + "role = ['admin']", r"route 1: role is not known"),
    (ROUTE + "roles = 'admin'", r"route 1: roles: write a list of words"),
    (ROUTE + "permissions = [1]", r"route 1: permissions: write a list of words"),
    (ROUTE + "scopes = { a = 1 }", r"route 1: scopes: write a list of words"),
    (ROUTE + "credentials = ['jwt']", r"route 1: jwt is no kind of credential; write token, key or external"),
    (ROUTE + "credentials = 'token'", r"route 1: credentials: write a list of words"),
    (ROUTE + "fresh = '10'", r"route 1: fresh is a number of seconds"),
    (ROUTE + "fresh = 0", r"route 1: fresh is a number of seconds"),
    (ROUTE + "fresh = true", r"route 1: fresh is a number of seconds"),
    (ROUTE + "fresh = 1.5", r"route 1: fresh is a number of seconds"),
    ("[[key]]\nname = 'a'", r"key 1: a key needs a name, and env"),
    ("[[key]]\nname = 1\nenv = 'A'", r"key 1: a key needs a name, and env"),
    ("[[key]]\nname = 'a'\nenv = 'A'\nvalue = 'secret'", r"key 1: value is not known"),
    ("[[key]]\nname = 'a'\nenv = 'A'\nroles = 'x'", r"key 1: roles: write a list of words"),
]


@pytest.mark.parametrize("text, sentence", MISSPELT)
def test_a_misspelt_file_is_refused_with_the_place_named(text, sentence):
    """Nothing unknown, of another type or empty is passed over."""
    with pytest.raises(ConfigurationError, match=sentence):
        parse_rules(tomllib.loads(text))


@pytest.mark.parametrize("content", [b"default = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path, content):
    """With the name of the file, and without a trace of the parser."""
    (tmp_path / "rules.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"rules\.toml"):
        read_rule_file(tmp_path / "rules.toml")


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path):
    """One that is not there, and a folder in its place."""
    with pytest.raises(ConfigurationError, match=r"absent\.toml is not there"):
        read_rule_file(tmp_path / "absent.toml")
    with pytest.raises(ConfigurationError, match=tmp_path.name):
        read_rule_file(tmp_path)


def test_an_empty_file_says_nothing(tmp_path):
    """No default, no rules, no roles, no keys."""
    (tmp_path / "rimlock.toml").write_text("")
    found = read_rule_file(tmp_path / "rimlock.toml")
    assert (found.default, found.rules, dict(found.permissions.by_role), found.keys) == (None, (), {}, ())


def test_every_word_of_a_full_file_arrives():
    """One rule per pattern, each with the whole requirement and the file as its source."""
    found = parse_rules(
        tomllib.loads("""
default = "observe"
[roles]
admin = ["*"]
[[route]]
match = ["GET /a", "/b/**"]
stage = "required"
credentials = ["token", "external"]
roles = ["admin", "analyst"]
permissions = ["lab:use"]
scopes = ["read"]
fresh = 300
[[key]]
name = "plotter"
env = "PLOTTER_KEY"
scopes = ["read"]
roles = ["analyst"]
"""),
        "other.toml",
    )
    demand = Requirement(
        credentials=frozenset({"token", "external"}),
        any_role=frozenset({"admin", "analyst"}),
        permissions=frozenset({"lab:use"}),
        scopes=frozenset({"read"}),
        fresh=300,
    )
    expected = [
        Rule(pattern=p, stage=Stage.REQUIRED, requirement=demand, source="other.toml") for p in ("GET /a", "/b/**")
    ]
    assert (found.default, list(found.rules)) == (Stage.OBSERVE, expected)
    assert dict(found.permissions.by_role) == {"admin": frozenset({"*"})}
    assert [(key.name, key.env, key.scopes, key.roles) for key in found.keys] == [
        ("plotter", "PLOTTER_KEY", frozenset({"read"}), frozenset({"analyst"}))
    ]


def test_a_route_without_a_demand_leaves_the_demand_to_others():
    """A stage alone is no requirement, and a requirement alone no stage."""
    stage, demand = parse_rules(
        {"route": [{"match": "/a", "stage": "open"}, {"match": "/a", "roles": ["admin"]}]}
    ).rules
    assert (stage.requirement, demand.stage) == (None, None)


@pytest.mark.req("L1")
def test_the_laboratorys_file_rules_what_it_says():
    """Writing is optional with a permission, reading observed, the rest open."""
    found = read_rule_file(LAB)
    book = RuleBook(file=found.rules, default=found.default or Stage.REQUIRED)
    writing = Requirement(credentials=frozenset({"token", "key"}), permissions=frozenset({"lab:use"}))
    for method, path in [
        ("POST", "/analyses"),
        ("GET", "/explorer/summary"),
        ("PUT", "/api/v1/analyses/{analysis_id}"),
    ]:
        ruling = book.ruling(method, path)
        assert (ruling.stage, ruling.requirement, ruling.stated) == (Stage.OPTIONAL, writing, True)
    for method, path in [("GET", "/analyses"), ("HEAD", "/analyses"), ("GET", "/reports/x"), ("WS", "/ws/results")]:
        ruling = book.ruling(method, path)
        assert (ruling.stage, ruling.requirement) == (Stage.OBSERVE, Requirement())
    assert book.ruling("GET", "/").stage is Stage.OPEN
    assert found.permissions.of(frozenset({"analyst"})) == {"lab:use"}
    assert [key.env for key in found.keys] == ["LAB_API_KEY"]
    assert all(isinstance(key, ImportedKey) for key in found.keys)
