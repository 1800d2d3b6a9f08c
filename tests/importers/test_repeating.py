"""Again, interrupted, in conflict, and taken back: what makes an import safe to try."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from importers.sources import (
    PASSWORD,
    SECRET,
    argon2,
    client_on,
    fastapi_users,
    insert,
    person,
    rows,
    sign_in,
    uuid,
    write,
)

pytestmark = pytest.mark.req("N1")
IMPORT = ("import", "fastapi-users")
COUNTS = ("new", "known", "changed", "linked", "refused")


def counts(outcome) -> dict[str, int]:
    """What an import counted, without zeros."""
    return {name: outcome.json[name] for name in COUNTS if outcome.json[name]}


def test_a_second_run_finds_everybody_and_follows_who_changed_there(rimlock):
    """New rows come in, changed ones are brought along, and a password set here is never undone by the source."""
    url = rimlock.url
    fastapi_users(url)
    insert(url, "user", *(person(number, hashed_password=argon2()) for number in (1, 2, 3)))
    assert counts(rimlock(*IMPORT, url, "--apply", "--json")) == {"new": 3}
    assert counts(rimlock(*IMPORT, url, "--apply", "--json")) == {"known": 3}
    with client_on(url) as client:
        assert sign_in(client, "u1@example.com").status_code == 200
        other = argon2("another password, set there")
        write(url, f"""UPDATE "user" SET hashed_password = '{other}'""")
        insert(url, "user", person(4))
        assert counts(rimlock(*IMPORT, url, "--json")) == {"new": 1, "known": 1, "changed": 2}
        assert counts(rimlock(*IMPORT, url, "--apply", "--json")) == {"new": 1, "known": 1, "changed": 2}
        assert counts(rimlock(*IMPORT, url, "--apply", "--json")) == {"known": 4}
        assert sign_in(client, "u1@example.com").status_code == 200
        assert sign_in(client, "u2@example.com").status_code == 401
        assert sign_in(client, "u2@example.com", "another password, set there").status_code == 200
    told = rimlock("audit", "list", "--event", "ImportUpdated", "--json").json["items"]
    assert [one["facts"]["changed"] for one in told] == [["password_hash"]] * 2
    assert len(rimlock("audit", "list", "--event", "ImportFinished", "--json").json["items"]) == 4


def test_an_account_that_was_deleted_here_is_not_brought_back(rimlock):
    """The row stays known, without whom it was."""
    url = rimlock.url
    fastapi_users(url)
    insert(url, "user", person(1), person(2))
    rimlock(*IMPORT, url, "--apply")
    assert rimlock("user", "delete", "u1@example.com", "--yes").code == 0
    assert counts(rimlock(*IMPORT, url, "--apply", "--json")) == {"known": 2}
    assert rows(url, "SELECT email FROM auth_user") == [("u2@example.com",)]
    undone = rimlock(*IMPORT, "--undo", "--apply", "--json").json
    assert (undone["removed"], undone["gone"]) == (1, 1)


@pytest.mark.attack("pre-hijacking by an account elsewhere")
def test_rows_that_would_be_one_person_here_are_all_refused(rimlock):
    """Whoever registered the same address in another case first does not get the name; the report says who and why."""
    url = rimlock.url
    fastapi_users(url)
    insert(url, "user", person(1, "ANN@example.com"), person(2, "ann@example.com"), person(3, "no address"), person(4))
    done = rimlock(*IMPORT, url, "--apply", "--json", "--refusals", "refused.jsonl")
    assert (done.code, counts(done)) == (1, {"new": 1, "refused": 3})
    expected = [
        {"row": uuid(1), "reason": "email_repeated", "others": [uuid(2)]},
        {"row": uuid(2), "reason": "email_repeated", "others": [uuid(1)]},
        {"row": uuid(3), "reason": "email_unusable", "others": []},
    ]
    assert done.json["refusals"] == expected
    written = Path("refused.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in written] == expected
    assert rows(url, "SELECT email FROM auth_user") == [("u4@example.com",)]
    assert "ann@" not in rimlock.said.lower()
    text = rimlock(*IMPORT, url)
    assert f"  refused  row {uuid(1)}  email_repeated also {uuid(2)}" in text.out
    assert text.err.endswith("rimlock: 3 rows are not taken over\n")


@pytest.mark.attack("pre-hijacking by an account elsewhere")
def test_an_address_that_is_here_already_is_linked_only_when_both_proved_it(rimlock):
    """Without --link nobody is; with it who is verified on both sides, and no hash, role or unproven login comes."""
    url = rimlock.url
    fastapi_users(url)
    for name, more in (("ann", ["--verified"]), ("bob", []), ("cy", ["--verified"])):
        rimlock("user", "create", f"{name}@example.com", "--generate", *more)
    before = rows(url, "SELECT user_id, password_hash, roles FROM auth_account ORDER BY user_id")
    insert(
        url,
        "user",
        person(1, "Ann@example.com", is_superuser=True),
        person(2, "bob@example.com"),
        person(3, "cy@example.com", is_verified=False),
    )
    account = {"id": uuid(9), "user_id": uuid(1), "oauth_name": "google", "access_token": "x"}
    insert(url, "oauth_account", account | {"account_id": "people/1", "account_email": "mallory@example.com"})
    assert rimlock(*IMPORT, url, "--apply", "--json").json["why"] == {"email_known_here": 3}
    done = rimlock(*IMPORT, url, "--apply", "--link", "--role", "superuser=admin", "--json")
    assert counts(done) == {"linked": 1, "refused": 2}
    assert done.json["why"] == {"email_not_proven_on_both_sides": 2}
    assert rows(url, "SELECT user_id, password_hash, roles FROM auth_account ORDER BY user_id") == before
    assert rows(url, "SELECT count(*) FROM auth_identity") == [(0,)]
    undone = rimlock(*IMPORT, "--undo", "--apply", "--json").json
    assert (undone["unlinked"], undone["removed"], undone["kept"]) == (1, 0, 0)
    assert rows(url, "SELECT count(*) FROM auth_user") == [(3,)]
    assert rows(url, "SELECT count(*) FROM auth_import") == [(0,)]


def test_two_rows_of_one_source_never_become_one_person(rimlock):
    """A row that is added there in another spelling of an address is refused, with --link as well."""
    url = rimlock.url
    fastapi_users(url)
    insert(url, "user", person(1, "ann@bücher.example"))
    rimlock(*IMPORT, url, "--apply")
    insert(url, "user", person(2, "ann@xn--bcher-kva.example"))
    done = rimlock(*IMPORT, url, "--apply", "--link", "--json")
    assert (counts(done), done.json["why"]) == ({"known": 1, "refused": 1}, {"email_repeated": 1})


def test_two_imports_at_once_make_everybody_once(rimlock):
    """Two processes take over the same source: each person is made by one of them, and known to the other."""
    url, number = rimlock.url, 1_000
    fastapi_users(url)
    _fill(url, number)
    rimlock("db", "upgrade")
    environment = {**os.environ, "DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET}
    command = [sys.executable, "-m", "rimlock.cli", *IMPORT, url, "--apply", "--batch", "40", "--json"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(process.communicate()[0]) for process in both]
    assert [one["new"] + one["known"] for one in told] == [number, number]
    assert sum(one["new"] for one in told) == _whole(url) == number


def test_undo_removes_what_the_import_made_and_keeps_who_came_since(rimlock):
    """Accounts somebody used stay unless told otherwise; failed attempts of strangers are no use; the rest goes."""
    url = rimlock.url
    fastapi_users(url)
    rimlock("user", "create", "root@example.com", "--generate", "--role", "admin")
    insert(url, "user", *(person(number, hashed_password=argon2()) for number in range(1, 6)))
    account = {"id": uuid(9), "user_id": uuid(4), "oauth_name": "github", "access_token": "x"}
    insert(url, "oauth_account", account | {"account_id": "7", "account_email": "u4@example.com"})
    rimlock(*IMPORT, url, "--apply")
    with client_on(url) as client:
        sign_in(client, "u1@example.com")
        sign_in(client, "u3@example.com", "guessed by a stranger")
    rimlock("user", "disable", "u2@example.com")
    looked = rimlock(*IMPORT, "--undo", "--json")
    assert (looked.code, looked.json["removed"], looked.json["why"]) == (1, 3, {"used_since": 2})
    assert rows(url, "SELECT count(*) FROM auth_user") == [(6,)]
    done = rimlock(*IMPORT, "--undo", "--apply", "--json").json
    assert [one["row"] for one in done["rows"]] == [uuid(1), uuid(2)]
    left = {email for (email,) in rows(url, "SELECT email FROM auth_user")}
    assert left == {"root@example.com", "u1@example.com", "u2@example.com"}
    assert rows(url, "SELECT count(*) FROM auth_identity") == [(0,)]
    assert rimlock(*IMPORT, "--undo", "--apply", "--force", "--json").json["removed"] == 2
    assert rows(url, "SELECT count(*) FROM auth_import") == [(0,)]
    assert rows(url, "SELECT count(*) FROM auth_session WHERE ended_at IS NULL") == [(0,)]
    assert counts(rimlock(*IMPORT, url, "--apply", "--json")) == {"new": 5}


def test_two_imports_that_lead_to_one_account_are_taken_back_in_their_order(rimlock):
    """An account that another import leads to stays, and so does the last administrator."""
    url = rimlock.url
    fastapi_users(url)
    insert(url, "user", person(1, is_superuser=True), person(2))
    rimlock(*IMPORT, url, "--apply", "--role", "superuser=admin")
    rimlock(*IMPORT, url, "--apply", "--link", "--as", "copy")
    assert rimlock(*IMPORT, "--undo", "--apply", "--json").json["why"] == {"another_import": 2}
    assert rimlock(*IMPORT, "--undo", "--apply", "--as", "copy", "--json").json["unlinked"] == 2
    last = rimlock(*IMPORT, "--undo", "--apply", "--json").json
    assert (last["removed"], last["why"]) == (1, {"last_admin": 1})


def test_an_import_that_is_killed_at_any_moment_is_finished_by_the_next(rimlock):
    """Killed four times on the way: nobody is there twice or in part, and the last run only adds who is missing."""
    url, number = rimlock.url, 2_000
    fastapi_users(url)
    _fill(url, number)
    rimlock("db", "upgrade")
    environment = {**os.environ, "DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET}
    command = [sys.executable, "-m", "rimlock.cli", *IMPORT, url, "--apply", "--batch", "25"]
    seen = [0]
    for _ in range(4):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if rows(url, "SELECT count(*) FROM auth_user")[0][0] > seen[-1]:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen.append(_whole(url))
        assert rows(url, "SELECT count(*) FROM auth_user") == [(seen[-1],)]
    assert 0 < seen[1] < number
    last = rimlock(*IMPORT, url, "--apply", "--json")
    assert counts(last) == {name: count for name, count in (("new", number - seen[-1]), ("known", seen[-1])) if count}
    assert _whole(url) == number


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_ten_thousand_people_need_no_more_memory_than_two_thousand(rimlock):
    """Rows are read in pages and forgotten: the peak of a process grows by less than a few bytes for each of them."""
    url = rimlock.url
    fastapi_users(url)
    peaks = []
    for first, last in ((0, 2_000), (2_000, 10_000)):
        _fill(url, last, first)
        peaks.append(_peak(url))
    assert rows(url, "SELECT count(*) FROM auth_import") == [(10_000,)]
    assert peaks[1] - peaks[0] < 8_000, peaks


def test_keys_of_a_table_are_looked_at_first_and_taken_over_with_apply(rimlock):
    """`rimlock import keys`: each key goes on working, and its text is neither kept nor shown."""
    url = rimlock.url
    write(url, "CREATE TABLE api_keys (label VARCHAR(40), secret VARCHAR(80))")
    key = "lab-17-9fX2mQ7vKz4tLw8rB3"
    insert(
        url,
        "api_keys",
        {"label": "robot", "secret": key},
        {"label": "old", "secret": "abc"},
        {"label": "no", "secret": ""},
    )
    options = ("import", "keys", url, "--table", "api_keys", "--column", "secret", "--name-column", "label", "--json")
    looked = rimlock(*options)
    assert (looked.json["added"], rows(url, "SELECT count(*) FROM auth_api_key")) == (2, [(0,)])
    assert looked.err == "rimlock: nothing is written yet; run this again with --apply\n"
    done = rimlock(*options, "--apply").json
    assert (done["added"], done["weak"], done["skipped"]) == (2, ["old"], [{"key": "no", "why": "empty"}])
    assert rimlock(*options, "--apply").json["known"] == 2
    assert rimlock("key", "list", "--json").json["items"][0]["name"] in {"robot", "old"}
    assert key not in rimlock.said
    wrong = rimlock(*options[:5], "--column", "nothing")
    assert (wrong.code, wrong.out) == (1, "")


def test_a_source_that_cannot_be_read_is_one_sentence(rimlock, tmp_path):
    """No file, no address, no name, a table of another shape: nothing is written, and no password is repeated."""
    rimlock("db", "upgrade")
    for place, sentence in (
        (f"sqlite:///{tmp_path}/none.db", "there is no database file at the address of the source"),
        ("nonsense", "this is not a database address; write sqlite:///app.db or postgresql://…"),
        ("postgresql://u:s3cr3t-word@127.0.0.1:1/none", "the database does not answer; "),
        (rimlock.url, "the source has no table 'user' or 'users'; name the one it has with --table user=NAME"),
    ):
        failed = rimlock(*IMPORT, place)
        assert (failed.code, failed.out) == (1, "")
        assert failed.err.startswith(f"rimlock: {sentence}")
    assert "s3cr3t-word" not in rimlock.said
    assert "name the source, or set RIMLOCK_IMPORT_SOURCE" in rimlock(*IMPORT).err
    assert "is no name for a source" in rimlock(*IMPORT, "--undo", "--as", "Not A Name").err
    fastapi_users(rimlock.url)
    assert (
        rimlock(*IMPORT, RIMLOCK_IMPORT_SOURCE=rimlock.url).out
        == "read 0  new 0  known 0  changed 0  linked 0  refused 0\n"
    )


def _fill(url: str, last: int, first: int = 0) -> None:
    hashed = argon2(PASSWORD)
    values = ", ".join(
        f"('{uuid(number)}', 'u{number}@example.com', '{hashed}', TRUE, FALSE, TRUE)" for number in range(first, last)
    )
    write(url, f'INSERT INTO "user" (id, email, hashed_password, is_active, is_superuser, is_verified) VALUES {values}')


def _whole(url: str) -> int:
    """Count the people, each of whom has everything."""
    joined = "auth_user u JOIN auth_account a ON a.user_id = u.id JOIN auth_import i ON i.user_id = u.id"
    return rows(url, f"SELECT count(*) FROM {joined} WHERE a.password_hash IS NOT NULL")[0][0]


def _peak(url: str) -> int:
    """Import in a process of its own; return its peak of resident memory in KiB.

    `ru_maxrss` would be at least the size of the process that began it, which is that of the tests.
    """
    program = (
        "import sys; from rimlock.cli.main import main; code = main(sys.argv[1:]); "
        "print(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1], file=sys.stderr); "
        "sys.exit(code)"
    )
    environment = {**os.environ, "DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET, "RIMLOCK_CREATE_TABLES": "1"}
    command = [sys.executable, "-c", program, *IMPORT, url, "--apply"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1])
