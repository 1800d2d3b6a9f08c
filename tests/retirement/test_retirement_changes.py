"""Retirements changed by administrators, the command line and the rule file: attributed, followed, taken back."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from retirement.retiring_host import ADMIN, PAGE, SECRET, eventually, fitted, new_key, phase_of, retire, written
from rimlock import Rule, Stage
from rimlock.core import keys, retiring
from rimlock.core.retirements import Phase
from rimlock.core.retiring import CredentialRetirementChanged
from rimlock.testing import sign_in

pytestmark = pytest.mark.req("L1", "L12")
REQUIRED = [Rule(pattern="/plain", stage=Stage.REQUIRED)]
AHEAD = {"start": "2099-03-01T09:00:00Z", "end": "2099-03-01T09:10:00Z", "every": "week"}
NOW = {"start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}


def test_only_an_administrator_with_a_token_may_look_or_change(sqlite_url, tmp_path):
    """Nobody gets 401, others 403, on every route; nothing is changed."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        plain = sign_in(auth, client, roles=["editor"]).headers
        _, key = new_key(client, auth, roles=frozenset({"admin"}))
        asked = [
            ("GET", ""),
            ("PUT", ""),
            ("POST", "/abort"),
            ("POST", "/back"),
            ("GET", "/history"),
            ("GET", "/report"),
        ]
        for method, path in asked:
            body = {"target": "kind:key", "phase": "refused"} if method == "PUT" else None
            assert client.request(method, ADMIN + path, json=body).status_code == 401
            for headers in (plain, key):
                assert client.request(method, ADMIN + path, json=body, headers=headers).status_code == 403
        admin = sign_in(auth, client, roles=["admin"], email="bea@example.com").headers
        assert client.get(f"{ADMIN}/history", headers=admin).json() == {"items": [], "next": None}


def test_a_key_is_deprecated_browned_out_aborted_and_all_of_it_taken_back(database_url, tmp_path):
    """What is left out stays as it is; each change is attributed and told as an event; steps are undone one by one."""
    auth, app = fitted(database_url, tmp_path, rules=REQUIRED)
    heard = []
    auth.on(CredentialRetirementChanged, heard.append)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        ann = sign_in(auth, client, roles=["admin"])
        target = f"key:{old}"

        def change(**said):
            answer = client.put(ADMIN, json={"target": target, **said}, headers=ann.headers)
            assert answer.status_code == 200, answer.text
            return answer.json()

        def status():
            return client.get("/plain", headers=sends).status_code

        made = change(
            phase="deprecated", deprecated_at="2026-12-01T00:00:00Z", sunset_at="2099-12-31T00:00:00Z", link=PAGE
        )
        assert made["actor"] == f"user:{ann.user.id}"
        assert (made["said"]["phase"], made["said"]["sunset_at"]) == ("deprecated", "2099-12-31T00:00:00Z")
        browned = change(phase="brownout", windows=[NOW], percent=100)["said"]
        assert (browned["phase"], browned["link"], browned["deprecated_at"]) == (
            "brownout",
            PAGE,
            "2026-12-01T00:00:00Z",
        )
        eventually(status, 401)
        aborted = client.post(f"{ADMIN}/abort", json={"target": target}, headers=ann.headers).json()
        assert (aborted["said"]["phase"], aborted["said"]["windows"]) == ("deprecated", [])
        eventually(status, 200)
        none = client.post(f"{ADMIN}/abort", json={"target": target}, headers=ann.headers)
        assert (none.status_code, none.json()["code"]) == (409, "no_brownout")
        assert client.post(f"{ADMIN}/back", headers=ann.headers).json()["said"]["phase"] == "brownout"
        eventually(status, 401)
        assert (
            client.post(f"{ADMIN}/back", json={"target": target}, headers=ann.headers).json()["said"]["phase"]
            == "deprecated"
        )
        assert client.post(f"{ADMIN}/back", headers=ann.headers).json()["said"] is None
        eventually(lambda: "deprecation" in client.get("/plain", headers=sends).headers, False)
        over = client.post(f"{ADMIN}/back", headers=ann.headers)
        assert (over.status_code, over.json()["code"]) == (404, "no_retirement_to_undo")
        past = client.get(f"{ADMIN}/history", params={"limit": 4}, headers=ann.headers).json()
        assert [one["reverts"] is not None for one in past["items"]] == [True, True, True, False]
        rest = client.get(f"{ADMIN}/history", params={"after": past["next"]}, headers=ann.headers).json()
        assert [one["said"]["phase"] for one in rest["items"]] == ["brownout", "deprecated"]
    assert [one.phase for one in heard[:3]] == ["deprecated", "brownout", "deprecated"]
    assert {one.actor for one in heard} == {f"user:{ann.user.id}"}


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"target": "key:" + "0" * 32}, 404, "retirement_target_unknown"),
        ({"target": "kind:password"}, 404, "retirement_target_unknown"),
        ({"link": "http://lab.example"}, 422, "retirement_invalid"),
        ({"link": 'https://lab.example/"\r\nX: y'}, 422, "retirement_invalid"),
        ({"phase": "brownout"}, 422, "retirement_invalid"),
        ({"phase": "brownout", "windows": [{**AHEAD, "end": AHEAD["start"]}]}, 422, "retirement_invalid"),
        ({"deprecated_at": "2027-01-01T00:00:00Z", "sunset_at": "2026-01-01T00:00:00Z"}, 422, "retirement_invalid"),
        ({"refuse_after_sunset": True}, 422, "retirement_invalid"),
        ({"sunset_at": "2027-01-01T00:00:00"}, 422, "invalid_request"),
        ({"percent": 101}, 422, "invalid_request"),
        ({"surplus": 1}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_kept(sqlite_url, tmp_path, said, status, code):
    """The answer names the code and never what was sent."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        admin = sign_in(auth, client, roles=["admin"]).headers
        answer = client.put(ADMIN, json={"target": "kind:key", "phase": "deprecated", **said}, headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "X: y" not in answer.text
        assert client.get(ADMIN, headers=admin).json() == {"items": []}


def test_the_overview_says_where_each_word_comes_from_and_what_has_no_effect(sqlite_url, tmp_path):
    """Of a key its name; windows that are over are warned of; null leaves it to the configuration."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        old, _ = new_key(client, auth, "plotter")
        admin = sign_in(auth, client, roles=["admin"]).headers
        past = {"start": "2020-03-01T09:00:00Z", "end": "2020-03-01T09:10:00Z"}
        body = {"target": f"key:{old}", "phase": "brownout", "windows": [past]}
        client.put(ADMIN, json=body, headers=admin)
        (one,) = client.get(ADMIN, headers=admin).json()["items"]
        assert (one["name"], one["phase"], one["stated"]) == ("plotter", "deprecated", "brownout")
        assert one["windows"] == [{**past, "every": None}]
        assert one["source"].startswith("run time, user:")
        assert len(one["warnings"]) == 1
        left = client.put(ADMIN, json={"target": f"key:{old}", "phase": None}, headers=admin).json()
        assert left["said"] is None
        assert client.get(ADMIN, headers=admin).json()["items"] == []


def test_the_rule_file_names_a_key_and_a_change_at_run_time_is_over_it(database_url, tmp_path):
    """The key of that name is deprecated from the first request on, its successor not; back leaves it so."""
    file = tmp_path / "rimlock.toml"
    file.write_text(f'[[retire]]\nkey = "plotter"\ndeprecated = 2026-12-01\nlink = "{PAGE}"\n')
    auth, app = fitted(database_url, tmp_path, config=file)
    with TestClient(app) as client:
        old, sends = new_key(client, auth, "plotter")
        eventually(lambda: phase_of(auth, f"key:{old}"), (Phase.DEPRECATED, ()))
        assert client.get("/plain", headers=sends).headers["deprecation"] == "@1796083200"
        admin = sign_in(auth, client, roles=["admin"]).headers
        made = client.post(f"/auth/api-keys/{old}/rotate", headers=admin).json()
        eventually(lambda: client.get("/plain", headers=sends).headers.get("sunset") is not None, True)
        assert "deprecation" not in client.get("/plain", headers={"X-API-Key": made["key"]}).headers
        client.post(f"{ADMIN}/back", headers=admin)
        eventually(lambda: client.get("/plain", headers=sends).headers.get("sunset"), None)
        assert client.get("/plain", headers=sends).headers["deprecation"] == "@1796083200"
        accepted = client.put(ADMIN, json={"target": f"key:{old}", "phase": "accept"}, headers=admin)
        assert accepted.status_code == 200
        eventually(lambda: client.get("/plain", headers=sends).headers.get("deprecation"), None)


@pytest.mark.attack("a brownout that goes on in one process after it was aborted")
def test_what_another_process_says_holds_here_within_moments(database_url, tmp_path):
    """A brownout begun and aborted by the command line reaches a running application; one command each."""
    auth, app = fitted(database_url, tmp_path, rules=REQUIRED)
    with TestClient(app) as client:
        _, sends = new_key(client, auth, "plotter")
        assert client.get("/plain", headers=sends).status_code == 200
        command(tmp_path, database_url, "brownout", "plotter", "--for", "1h")
        eventually(lambda: client.get("/plain", headers=sends).status_code, 401)
        said = command(tmp_path, database_url, "brownout", "plotter", "--abort")
        eventually(lambda: client.get("/plain", headers=sends).status_code, 200)
        assert "deprecated" in said
        assert "deprecation" in client.get("/plain", headers=sends).headers


def command(folder, url, *arguments):
    """Run `rimlock key …` in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RIMLOCK_")}
    done = subprocess.run(
        [sys.executable, "-m", "rimlock.cli", "key", *arguments],
        cwd=folder,
        env={**clean, "DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.attack("a change lost between two made at once")
def test_changes_and_aborts_at_once_are_each_made_whole(database_url, tmp_path):
    """Eight brownouts and eight aborts: each is in the history or was refused, and the newest line is what holds."""
    auth, app = fitted(database_url, tmp_path)
    with TestClient(app) as client:
        old, _ = new_key(client, auth)
        admin = sign_in(auth, client, roles=["admin"]).headers
        target = f"key:{old}"

        def ask(number):
            if number % 2:
                return client.post(f"{ADMIN}/abort", json={"target": target}, headers=admin).status_code
            body = {"target": target, "phase": "brownout", "windows": [NOW], "percent": number}
            return client.put(ADMIN, json=body, headers=admin).status_code

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(16)))
        assert set(answers) <= {200, 409}
        past = client.portal.call(auth.database.read, retiring.history)
        assert len(past) == answers.count(200)
        phases = [one.said.phase for one in reversed(past)]
        aborts = [place for place, phase in enumerate(phases) if phase is Phase.DEPRECATED]
        assert all(phases[place - 1] is Phase.BROWNOUT for place in aborts)
        (holds,) = client.portal.call(auth.database.read, retiring.in_force)
        assert holds == past[0].said
        eventually(lambda: phase_of(auth, target), (holds.phase, holds.windows))


@pytest.mark.attack("two operators who take the same step back")
def test_two_steps_back_at_once_undo_two_changes(database_url, tmp_path):
    """No change is undone twice."""
    auth, app = fitted(database_url, tmp_path)
    with TestClient(app) as client:
        old, _ = new_key(client, auth)
        admin = sign_in(auth, client, roles=["admin"]).headers
        for _ in range(3):
            retire(client, auth, old)
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: client.post(f"{ADMIN}/back", headers=admin).status_code, range(6)))
        assert sorted(answers) == [200, 200, 200, 404, 404, 404]
        past = client.portal.call(auth.database.read, retiring.history)
        undone = [one.reverts for one in past if one.reverts]
        assert len(set(undone)) == len(undone) == 3


def test_revoking_a_key_is_not_undone_by_accepting_it(sqlite_url, tmp_path):
    """What is over is over, whatever is said of its retirement."""
    auth, app = fitted(sqlite_url, tmp_path, rules=REQUIRED)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, Phase.ACCEPT)
        written(client, auth, lambda tx: keys.revoke(tx, old, now=auth.context.now()))
        answer = client.get("/plain", headers=sends)
        assert (answer.status_code, answer.headers.get("deprecation")) == (401, None)
