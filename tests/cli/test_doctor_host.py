"""What `rimlock doctor` finds on a host: each check on one that has the fault, and on one that has not."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import ARRAY, JSON, Column, Integer, MetaData, String, Table, insert, text

from migrations.neighbourhood import on
from rimlock import Rimlock
from rimlock.core import revocations, schema, usage
from rimlock.core.usage import Seen
from rimlock.retrofit.checks.path_guards import guards_in

pytestmark = pytest.mark.req("N6")

LAB = Path(__file__).parents[2] / "examples/lab"
HOST = """
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from rimlock import DESKTOP_ORIGINS, Rimlock, Rule, Stage
from datetime import date

app = FastAPI(openapi_url=None)
app.get("/items")(lambda: [])
{body}
Rimlock.from_env(rules=[{rules}]).install(app)
"""


def host(folder, name, body="", rules="Rule(pattern='/**', stage=Stage.REQUIRED)") -> str:
    """Write a host application; return how it is named."""
    (folder / f"{name}.py").write_text(HOST.format(body=body, rules=rules))
    return f"{name}:app"


def found(outcome, name) -> dict[str, str]:
    """The one finding of a name."""
    (finding,) = [one for one in outcome.json["items"] if one["name"] == name]
    return finding


def states(outcome) -> dict[str, str]:
    """The state of each finding."""
    return {one["name"]: one["state"] for one in outcome.json["items"]}


def test_every_finding_that_is_not_ok_says_why_and_how_it_is_mended(lone_terminal, tmp_path):
    """In JSON as members, in text on lines of their own."""
    lone_terminal("token", "keys")
    name = host(tmp_path, "many_faults", rules="Rule(pattern='/**', stage=Stage.OPEN, until=date(2020, 1, 1))")
    faults = {"RIMLOCK_INSECURE_COOKIES": "1", "RIMLOCK_TRUSTED_PROXIES": "0.0.0.0/0", "SECRET_KEY": "changeme"}
    seen = lone_terminal("doctor", "--app", name, "--json", **faults)
    wrong = [one for one in seen.json["items"] if one["state"] != "ok"]
    assert {one["name"] for one in wrong} == {"switch", "proxies", "sample secrets", "overdue rules"}
    assert all(one["text"] and one["why"] and one["mend"] for one in wrong)
    assert not [one for one in seen.json["items"] if one["state"] == "ok" and (one["why"] or one["mend"])]
    text = lone_terminal("doctor", "--app", name, **faults).out
    assert (text.count(" why: "), text.count(" mend: ")) == (len(wrong), len(wrong))


@pytest.mark.parametrize(
    "environment, name, state",
    [
        ({"SECRET_KEY": "your-secret-key-here"}, "sample secrets", "fail"),
        ({"SECRET_KEY": "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"}, "sample secrets", "fail"),
        ({"APP_API_KEY": "<your key>"}, "sample secrets", "fail"),
        ({"DJANGO_SECRET_KEY": "django-insecure-#x0q"}, "sample secrets", "fail"),
        ({"SESSION_SECRET": "aaaabbbb"}, "weak secrets", "warn"),
        ({"JWT_SECRET": "short-and-not-enough"}, "JWT_SECRET", "fail"),
        ({"RIMLOCK_TRUSTED_PROXIES": "::/0"}, "proxies", "fail"),
        ({"RIMLOCK_TRUSTED_PROXIES": "10.0.0.0/7"}, "proxies", "warn"),
        ({"RIMLOCK_TRUSTED_PROXIES": "10.0.0.0/8"}, "proxies", "ok"),
        ({"FORWARDED_ALLOW_IPS": "*"}, "server proxies", "warn"),
        ({"RIMLOCK_ON_LIMITS_DOWN": "insecure_allow"}, "switch", "warn"),
        ({"RIMLOCK_ON_LIMITS_DOWN": "insecure_allow"}, "registration", "warn"),
        ({"RIMLOCK_ON_LIMITS_DOWN": "insecure_allow", "RIMLOCK_REGISTRATION": "closed"}, "registration", "ok"),
    ],
)
def test_settings_and_secrets_that_weaken_something_are_named(lone_terminal, environment, name, state):
    """A sample, a secret of a few letters, a proxy that is everybody; and no value is shown."""
    seen = lone_terminal("doctor", "--json", **environment)
    assert found(seen, name)["state"] == state
    assert seen.code == (1 if state == "fail" else 0)
    shown = "".join(one["text"] + one["why"] + one["mend"] for one in seen.json["items"])
    assert not [value for key, value in environment.items() if "SECRET" in key and value in shown]


def test_good_secrets_of_the_host_are_no_finding(lone_terminal):
    """A long random value is nobody's sample."""
    good = {"SECRET_KEY": "q8VbY2mZpX9vLkR4tYwB8nJcD3sA6eUq", "GITHUB_API_KEY": "ghp_x8VbY2mZpX9vLkR4tYwB8nJcD3sA6"}
    assert not {"sample secrets", "weak secrets", "JWT_SECRET"} & set(states(lone_terminal("doctor", "--json", **good)))


def test_a_secret_is_not_made_by_looking(lone_terminal, tmp_path):
    """Where the first start would make a secret file, the doctor makes none."""
    lone_terminal.environment.pop("RIMLOCK_SECRETS")
    seen = lone_terminal("doctor", "--json")
    assert (found(seen, "secret")["state"], list(tmp_path.iterdir())) == ("ok", [])


CORS = "app.add_middleware(CORSMiddleware, allow_origins={origins}, allow_credentials=True)"


@pytest.mark.req("L4")
@pytest.mark.parametrize(
    "label, origins, state",
    [
        ("none", "['https://lab.example.org']", "ok"),
        ("some", "['https://lab.example.org', 'tauri://localhost']", "warn"),
        ("all", "['https://lab.example.org', *DESKTOP_ORIGINS]", "ok"),
    ],
)
def test_missing_desktop_origins_are_found_where_a_desktop_client_is_evident(
    lone_terminal, tmp_path, label, origins, state
):
    """One of the three without the others is a client that works on one system only."""
    name = host(tmp_path, f"desktop_{label}", CORS.format(origins=origins))
    assert found(lone_terminal("doctor", "--json", "--app", name), "desktop origins")["state"] == state


@pytest.mark.req("L4")
def test_a_desktop_client_that_was_seen_is_evidence(lone_terminal, tmp_path):
    """Usage of a Tauri client and a list of origins without its own is a finding."""
    name = host(tmp_path, "desktop_seen", CORS.format(origins="['https://lab.example.org']"))
    lone_terminal("token", "keys")

    async def see():
        auth = Rimlock.from_env(lone_terminal.environment)
        await auth.start()
        now = auth.context.now()
        row = {"method": "GET", "path": "/items", "stage": "open", "outcome": "allowed", "requests": 1, "label": ""}
        times = {"day": now // usage.DAY, "first_seen": now, "last_seen": now}
        seen = Seen(**row, **times, credential="none", credential_id="", client="tauri")
        await auth.database.write(lambda tx: usage.write(tx, [seen]))
        await auth.stop()

    asyncio.run(see())
    finding = found(lone_terminal("doctor", "--json", "--app", name), "desktop origins")
    assert finding["state"] == "warn"
    assert "http://tauri.localhost" in finding["text"]


def test_a_wildcard_added_after_the_installation_is_found(lone_terminal, tmp_path):
    """On the application and on one that is mounted on it."""
    body = "sub = FastAPI()\napp.mount('/sub', sub)\nsub." + CORS.format(origins="['*']").removeprefix("app.")
    seen = lone_terminal("doctor", "--json", "--app", host(tmp_path, "late_wildcard", body))
    assert (found(seen, "wildcard origin")["state"], seen.code) == ("fail", 1)
    nulled = host(tmp_path, "null_origin", CORS.format(origins="['null']"))
    assert found(lone_terminal("doctor", "--json", "--app", nulled), "null origin")["state"] == "warn"


GUARD = """
@app.middleware("http")
async def guarded(request, call_next):
    path = request.url.path.rstrip("/")
    if path.startswith("/admin"):
        return None
    return await call_next(request)
"""


@pytest.mark.attack("a guard that goes by a path somebody wrote (CVE-2026-48710)")
def test_a_guard_by_path_is_found_with_its_line(lone_terminal, tmp_path):
    """In the application's own source, with file and line; a host without one is well."""
    seen = lone_terminal("doctor", "--json", "--app", host(tmp_path, "guards_paths", GUARD))
    finding = found(seen, "path guards")
    assert finding["state"] == "warn"
    line = (tmp_path / "guards_paths.py").read_text().splitlines().index('    if path.startswith("/admin"):') + 1
    assert f"guards_paths.py:{line}" in finding["text"]
    plain = lone_terminal("doctor", "--json", "--app", host(tmp_path, "guards_nothing"))
    assert "guards_nothing.py" not in found(plain, "path guards")["text"]


@pytest.mark.parametrize(
    "body, lines",
    [
        ('if request.url.path == "/x": pass', 1),
        ("if request.url.path in EXEMPT: pass", 1),
        ("return any(request.url.path.startswith(one) for one in EXEMPT)", 1),
        ('if re.match(r"/x", request.url.path): pass', 1),
        ('if scope["path"].endswith("/x"): pass', 1),
        ('if request.scope.get("path") != "/x": pass', 1),
        ('if (path := str(request.url.path).lower()) == "/x": pass', 1),
        ('path = request.url.path\n    if path == "/x": pass', 1),
        ('path: str = request.scope["raw_path"]\n    return path in EXEMPT', 1),
        ('match request.url.path:\n        case "/x": pass', 1),
        ('if request.url.path.split("/")[1] == "admin": pass', 1),
        ('area = request.url.path.split("/")[1]\n    if area == "admin": pass', 1),
        ('if request.url.path[:6] == "/admin": pass', 1),
        ('if "/admin" in str(request.url): pass', 1),
        ('url = f"{request.url}"', 0),
        ('log.info("asked for %s", request.url.path)', 0),
        ('return Path(here) / request.path_params["path"]', 0),
        ('if request.url.scheme == "http": pass', 0),
        ('if settings["path"] == "/x": pass', 0),
    ],
)
def test_what_counts_as_deciding_by_the_path(body, lines):
    """Comparisons and searches of the request's path, or of a name it was given; nothing else."""
    source = f"async def dependency(request, scope):\n    {body}\n"
    assert len(guards_in(source)) == lines
    route = f"@router.get('/x')\n{source}"
    assert guards_in(route) == []


@pytest.mark.attack("a guard that goes by a path somebody wrote (CVE-2026-48710)")
def test_a_guard_is_found_in_a_package_without_an_init(lone_terminal, tmp_path):
    """A folder of modules is an application of many hosts."""
    (tmp_path / "guards_folder").mkdir()
    host(tmp_path / "guards_folder", "entrance", GUARD)
    seen = lone_terminal("doctor", "--json", "--app", "guards_folder.entrance:app")
    assert "guards_folder/entrance.py:" in found(seen, "path guards")["text"]


@pytest.mark.parametrize("source", ["def (:", "\0", "x = " + "(" * 5000])
def test_source_that_cannot_be_read_is_passed_over(source):
    """Another language, a template or a broken file stops nothing."""
    assert guards_in(source) == []


KEYS = {
    "api_keys.key": ("kX8VbY2mZpX9vLkR4tYwB8", "plain keys", "warn"),
    "clients.api_key": ("kX8VbY2mZpX9vLkR4tYwB8", "plain keys", "warn"),
    "devices.token": ("kX8VbY2mZpX9vLkR4tYwB8", "plain keys", "warn"),
    "Callers.apiKey": ("kX8VbY2mZpX9vLkR4tYwB8", "plain keys", "warn"),
    "Gadgets.accessToken": ("kX8VbY2mZpX9vLkR4tYwB8", "plain keys", "warn"),
    "ApiKeys.key": ("kX8VbY2mZpX9vLkR4tYwB8", "plain keys", "warn"),
    "people.password": ("hunter2!", "plain passwords", "fail"),
}
SAFE = {
    "api_keys.key_hash": "kX8VbY2mZpX9vLkR4tYwB8",
    "clients.api_key": hashlib.sha256(b"x").hexdigest(),
    "people.password": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g",
    "others.password": "pbkdf2_sha256$600000$salt$hash=",
    "notes.token_count": "kX8VbY2mZpX9vLkR4tYwB8",
    "songs.key": "C sharp minor, andante",
    "sealed.secret": "gAAAAABkX8VbY2mZpX9vLkR4tYwB8",
}


def filled(url, values):
    """Make one table with one text column for each, and put a value in."""

    def work(connection):
        for place, value in values.items():
            name, _, column = place.partition(".")
            made = Table(name, MetaData(), Column("id", Integer, primary_key=True), Column(column, String(200)))
            made.create(connection)
            connection.execute(insert(made), [{column: value} for _ in range(3)])

    asyncio.run(on(url, work))


@pytest.mark.parametrize("place", KEYS)
def test_keys_in_clear_are_found_and_never_shown(terminal, place):
    """On both databases: table and column are named, how many, and not one of them."""
    value, name, state = KEYS[place]
    terminal("token", "keys")
    filled(terminal.environment["DATABASE_URL"], {place: value})
    seen = terminal("doctor", "--json")
    assert (found(seen, name)["state"], seen.code) == (state, 1 if state == "fail" else 0)
    assert found(seen, name)["text"].startswith(f"{place}: 3 of 3")
    assert value not in terminal.shown


def test_columns_of_lists_documents_and_numbers_are_looked_through(terminal):
    """What a driver returns as a list or an object has no text that is a key, and stops nothing."""
    terminal("token", "keys")
    url = terminal.environment["DATABASE_URL"]
    kind = ARRAY(String) if url.startswith("postgres") else JSON()

    def work(connection):
        made = Table("odd", MetaData(), Column("tokens", kind), Column("secret", Integer), Column("api_key", JSON()))
        made.create(connection)
        connection.execute(insert(made), {"tokens": ["a"], "secret": 7, "api_key": {"a": 1}})

    asyncio.run(on(url, work))
    assert found(terminal("doctor", "--json"), "plain keys")["state"] == "ok"


def test_digests_and_other_words_are_no_keys(terminal):
    """Hashes, ciphertexts, and columns that only sound like it are left alone."""
    terminal("token", "keys")
    filled(terminal.environment["DATABASE_URL"], SAFE)
    assert found(terminal("doctor", "--json"), "plain keys")["state"] == "ok"


def test_a_table_that_cannot_be_read_is_named_and_hides_no_other(lone_terminal, tmp_path):
    """One whose extension is not there: that is said of it, and the keys in the tables after it are found."""
    url = f"sqlite:///{tmp_path / 'host.db'}"
    filled(url, {"users.api_key": "kX8VbY2mZpX9vLkR4tYwB8"})
    file = sqlite3.connect(tmp_path / "host.db")
    file.execute("PRAGMA writable_schema = ON")
    made = "CREATE VIRTUAL TABLE odd USING nothing_like_it(api_key)"
    file.execute("INSERT INTO sqlite_master VALUES ('table', 'odd', 'odd', 0, ?)", [made])
    file.commit()
    file.close()
    seen = lone_terminal("doctor", "--json", "--host-database", url)
    told = [one["text"] for one in seen.json["items"] if one["name"] == "plain keys"]
    assert [one.partition(":")[0] for one in told] == ["users.api_key", "not read"]
    assert told[1] == "not read: odd"


def test_a_table_that_may_not_be_read_is_named_and_hides_no_other(postgres_url, lone_terminal):
    """One without a right to read it is no database that does not answer."""
    role = f"reader_{uuid4().hex}"
    filled(postgres_url, {"closed.api_key": "kX8VbY2mZpX9vLkR4tYwB8", "open.api_key": "kX8VbY2mZpX9vLkR4tYwB8"})

    def say(*statements):
        asyncio.run(on(postgres_url, lambda connection: [connection.execute(text(one)) for one in statements]))

    say(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'", f"GRANT SELECT ON open TO {role}")
    try:
        place = urlsplit(postgres_url)
        url = place._replace(netloc=f"{role}:{role}@{place.netloc.rpartition('@')[2]}").geturl()
        seen = lone_terminal("doctor", "--json", "--host-database", url)
    finally:
        say(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    told = [one["text"].partition(":") for one in seen.json["items"] if one["name"] == "plain keys"]
    assert [(one[0], one[2]) for one in told][1:] == [("not read", " closed.api_key")]
    assert told[0][0] == "open.api_key"


def test_the_hosts_own_database_can_be_named(lone_terminal, tmp_path):
    """Where the host keeps its tables elsewhere, that is where keys are looked for; nothing is made there."""
    elsewhere = f"sqlite:///{tmp_path / 'host.db'}"
    lone_terminal("doctor", "--host-database", elsewhere)
    assert not (tmp_path / "host.db").exists()
    filled(elsewhere, {"api_keys.key": "kX8VbY2mZpX9vLkR4tYwB8"})
    assert found(lone_terminal("doctor", "--json", "--host-database", elsewhere), "plain keys")["state"] == "warn"


def test_a_named_database_that_is_not_there_is_not_well(lone_terminal, tmp_path):
    """A mistyped address looks at nothing, and nothing is made there; that is no ok."""
    lone_terminal("token", "keys")
    seen = lone_terminal("doctor", "--json", "--host-database", f"sqlite:///{tmp_path / 'mistyped.db'}")
    assert found(seen, "plain keys")["state"] == "warn"
    assert not (tmp_path / "mistyped.db").exists()
    away = found(lone_terminal("doctor", "--json", "--host-database", "postgresql://127.0.0.1:1/x"), "plain keys")
    assert (away["state"], away["text"]) == ("warn", "the database of --host-database does not answer")
    assert "DATABASE_URL" not in away["text"] + away["mend"]


@pytest.mark.parametrize(
    "label, rules, wrong",
    [
        ("late", "Rule(pattern='/**', stage=Stage.OBSERVE, until=date(2020, 1, 1))", {"overdue rules": "fail"}),
        ("endless", "Rule(pattern='/**', stage=Stage.OBSERVE)", {"endless rules": "warn"}),
        ("partly", "Rule(pattern='/**', stage=Stage.REQUIRED, percent=20)", {"endless rules": "warn"}),
        ("dated", "Rule(pattern='/**', stage=Stage.OBSERVE, until=date(2999, 1, 1))", {}),
        ("turned", "Rule(pattern='/**', stage=Stage.REQUIRED)", {}),
    ],
)
def test_permissive_rules_have_a_date_and_keep_it(lone_terminal, tmp_path, label, rules, wrong):
    """Past it is a failure, without one a warning; a route that is required needs none."""
    seen = lone_terminal("doctor", "--json", "--app", host(tmp_path, f"rules_{label}", rules=rules))
    assert {name: state for name, state in states(seen).items() if "rules" in name and state != "ok"} == wrong


def test_a_change_at_run_time_counts(lone_terminal, tmp_path):
    """A route that was opened by command and has no date is named, though its configured rule is strict."""
    name = host(tmp_path, "rules_running")
    lone_terminal("rollout", "set", "/items", "open", "--app", name)
    assert "GET /items" in found(lone_terminal("doctor", "--json", "--app", name), "endless rules")["text"]


ENVIRONMENT = """
import os
from alembic import context
from sqlalchemy import MetaData, create_engine
{line}
engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=MetaData(){filters})
    with context.begin_transaction():
        context.run_migrations()
"""


def alembic(folder, line="", filters=""):
    """Make the host's Alembic environment as `alembic init` lays it out."""
    (folder / "alembic" / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/alembic\npath_separator = os\n")
    (folder / "alembic" / "script.py.mako").write_text("")
    (folder / "alembic" / "env.py").write_text(ENVIRONMENT.format(line=line, filters=filters))


@pytest.mark.parametrize(
    "line, filters, state, told",
    [
        ("", "", "fail", "proposes to drop auth_account"),
        ("from rimlock import migrations", ", include_name=migrations.include_name", "ok", "leaves our tables alone"),
        ("from rimlock.migrations import include_object as ours", ", include_object=ours", "ok", "leaves our tables"),
        ("own = lambda name, *_: not (name or '').startswith('auth_')", ", include_name=own", "ok", "run dry"),
        ("own = lambda *_: True", ", include_name=own", "fail", "proposes to drop"),
    ],
)
def test_a_host_autogenerate_that_would_drop_our_tables_is_found(lone_terminal, tmp_path, line, filters, state, told):
    """Read first, then run dry; nothing is written, no revision and no version table."""
    alembic(tmp_path, line, filters)
    lone_terminal("token", "keys")
    with sqlite3.connect(tmp_path / "rimlock.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.close()
    seen = lone_terminal("doctor", "--json")
    finding = found(seen, "host migrations")
    assert finding["state"] == state
    assert told in finding["text"]
    assert list((tmp_path / "alembic" / "versions").iterdir()) == []


def test_without_an_answer_of_its_autogenerate_what_env_py_says_counts(lone_terminal, tmp_path):
    """A host whose migrations never ran is warned by its source alone, and no database is made for it."""
    alembic(tmp_path)
    assert found(lone_terminal("doctor", "--json"), "host migrations")["state"] == "warn"
    lone_terminal("token", "keys")
    assert found(lone_terminal("doctor", "--json"), "host migrations")["state"] == "warn"
    tables = sqlite3.connect(tmp_path / "rimlock.db").execute("SELECT name FROM sqlite_master").fetchall()
    assert ("alembic_version",) not in tables
    (tmp_path / "alembic.ini").unlink()
    assert "host migrations" not in states(lone_terminal("doctor", "--json"))


def test_a_follower_and_clocks_that_lag_are_found(terminal):
    """A journal written in the future is a clock that is wrong; one that is read as far as it goes is well."""
    terminal("token", "keys")
    assert {states(terminal("doctor", "--json"))[name] for name in ("follower", "clocks")} == {"ok"}
    slow = {"RIMLOCK_POLL_INTERVAL": "10", "RIMLOCK_MAX_STALENESS": "5"}
    stale = states(terminal("doctor", "--json", **slow))["staleness"]
    assert stale == ("fail" if terminal.environment["DATABASE_URL"].startswith("postgres") else "ok")

    async def skew():
        auth = Rimlock.from_env(terminal.environment)
        await auth.start()
        later = auth.context.now() + 3600
        await auth.database.write(lambda tx: revocations.announce(tx, "key", "k1", now=later))
        await auth.stop()

    asyncio.run(skew())
    assert found(terminal("doctor", "--json"), "clocks")["state"] == "warn"


def test_a_journal_that_cannot_be_read_is_found(terminal):
    """No server starts on it; the findings after it are made all the same."""
    terminal("token", "keys")
    asyncio.run(on(terminal.environment["DATABASE_URL"], lambda it: it.execute(text("DROP TABLE auth_journal"))))
    seen = terminal("doctor", "--json")
    assert (found(seen, "follower")["state"], found(seen, "signing keys")["state"]) == ("fail", "ok")
    assert "revoked tokens go on working" in found(seen, "follower")["why"]


@pytest.mark.parametrize("version, state", [("1.0.0", "warn"), ("0.46.2", "warn"), ("1.0.1", "ok"), ("1.10.0", "ok")])
def test_a_starlette_that_believes_every_host_header_is_found(lone_terminal, tmp_path, monkeypatch, version, state):
    """By the version that is installed; with an old one a guard by path is a failure, not a warning."""
    installed = tmp_path / "packages" / f"starlette-{version}.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: starlette\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(installed.parent))
    name = host(tmp_path, f"guarded_on_{version.replace('.', '_')}", GUARD)
    seen = lone_terminal("doctor", "--json", "--app", name)
    assert found(seen, "starlette")["state"] == state
    assert found(seen, "path guards")["state"] == ("fail" if state == "warn" else "warn")


def contents(url) -> dict[str, list[str]]:
    """Every row of every table, the schema included."""

    def work(connection):
        tables = MetaData()
        tables.reflect(connection)
        return {name: sorted(map(repr, connection.execute(table.select()))) for name, table in tables.tables.items()}

    return asyncio.run(on(url, work))


def test_nothing_is_changed_by_looking(terminal, tmp_path):
    """Every row is the same afterwards, and on SQLite every byte of the file and every name in the folder."""
    terminal("token", "keys")
    url = terminal.environment["DATABASE_URL"]
    filled(url, {place: value for place, (value, _, _) in KEYS.items()})
    alembic(tmp_path)
    name = host(tmp_path, f"only_looked_{len(url)}", GUARD)
    terminal("doctor", "--app", name)

    def state():
        files = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file() and one.suffix != ".pyc"}
        return {str(one): hashlib.sha256(held).hexdigest() for one, held in files.items()}, contents(url)

    before = state()
    assert terminal("doctor", "--app", name).code == 1
    assert terminal("doctor", "--json").code == 1
    assert state() == before
    assert set(schema.metadata.tables) <= set(before[1])


@pytest.mark.req("L4")
def test_the_laboratory_is_looked_at_as_it_is(lone_terminal, tmp_path, monkeypatch):
    """Its list of origins lacks one system's; its routes have no dates; nothing of it fails."""
    monkeypatch.syspath_prepend(str(LAB))
    given = {"RIMLOCK_CONFIG": str(LAB / "rimlock.toml"), "LAB_API_KEY": "kX8VbY2mZpX9vLkR4tYwB8nJcD3sA6eUq"}
    lone_terminal("token", "keys")
    try:
        seen = lone_terminal("doctor", "--json", "--app", "lab.fitted:app", **given)
    finally:
        for module in [one for one in sys.modules if one.partition(".")[0] == "lab"]:
            del sys.modules[module]
    wrong = {name: state for name, state in states(seen).items() if state != "ok"}
    assert wrong == {"desktop origins": "warn", "endless rules": "warn"}
    assert "https://tauri.localhost" in found(seen, "desktop origins")["text"]
