"""Keys that callers hold already go on working: taken from the environment by `rimlock.toml`."""

from __future__ import annotations

import logging
import multiprocessing

import pytest
from fastapi import FastAPI, Header, HTTPException
from fastapi.testclient import TestClient

from features.api_keys.fitted import SECRET, fitted, start_and_stop, written
from rimlock import Rimlock, Settings
from rimlock.core import keys
from rimlock.core.access import Rule, Stage
from rimlock.core.errors import ConfigurationError
from rimlock.core.rulefile import ImportedKey, read_rule_file
from rimlock.features.api_keys import ApiKeys

LAB = "kM3tQ8wZr5xN1vB7yLpD"
LATER = "pV6sH2jGf9cX4nT8bKqW"
IMPORTED = (ImportedKey(name="lab computers", env="LAB_API_KEY", roles=frozenset({"chemist"})),)
EVERYWHERE = "/**"


def lab_keys(value=LAB, imported=IMPORTED):
    """The feature with a key of the environment."""
    return ApiKeys(imported, environment={"LAB_API_KEY": value})


@pytest.mark.req("L1", "L12")
@pytest.mark.parametrize("stage", [Stage.OPEN, Stage.OBSERVE, Stage.OPTIONAL, Stage.REQUIRED])
def test_an_old_key_works_at_every_stage(database_url, stage):
    """A caller who knows nothing of Rimlock keeps getting in, also where a route requires a credential."""
    _, app = fitted(database_url, lab_keys(), rules=[Rule(pattern=EVERYWHERE, stage=stage)])
    with TestClient(app) as client:
        answer = client.get("/items", headers={"X-API-Key": LAB})
        me = client.get("/me", headers={"X-API-Key": LAB})
        nobody = client.get("/items")
    assert answer.status_code == 200
    assert (me.json()["label"], me.json()["roles"]) == ("lab computers", ["chemist"])
    assert nobody.status_code == (401 if stage is Stage.REQUIRED else 200)


@pytest.mark.req("L1")
def test_the_hosts_own_check_and_ours_agree_on_an_old_key(sqlite_url):
    """The header reaches the host's own check as before, and the gate knows the caller by name."""
    app = FastAPI()

    @app.get("/analyses")
    def analyses(x_api_key: str = Header()):
        if x_api_key != LAB:
            raise HTTPException(403)
        return []

    auth = Rimlock(
        Settings(secrets=[SECRET], database=sqlite_url),
        rules=[Rule(pattern=EVERYWHERE, stage=Stage.REQUIRED)],
        features=[lab_keys()],
    )
    auth.install(app)
    with TestClient(app) as client:
        assert client.get("/analyses", headers={"X-API-Key": LAB}).status_code == 200
        assert client.get("/analyses", headers={"X-API-Key": LATER}).status_code == 401


def test_keys_of_the_rule_file_are_taken_in(sqlite_url, tmp_path):
    """`[[key]]` in `rimlock.toml` is all it takes."""
    file = tmp_path / "rimlock.toml"
    file.write_text('[[key]]\nname = "lab"\nenv = "LAB_API_KEY"\nscopes = ["analyses:read"]\n')
    auth, app = fitted(sqlite_url, lab_keys(imported=read_rule_file(file).keys))
    told = []
    auth.on(keys.ApiKeyImported, told.append)
    with TestClient(app) as client:
        assert client.get("/scoped", headers={"X-API-Key": LAB}).status_code == 200
    assert [(event.key_name, event.source) for event in told] == [("lab", "imported:env")]
    assert LAB not in repr(told)


@pytest.mark.parametrize("value", ["", "   ", None])
def test_a_missing_value_is_named_at_the_start(sqlite_url, value):
    """The sentence names the variable, and the application doesn't start without its callers."""
    environment = {} if value is None else {"LAB_API_KEY": value}
    _, app = fitted(sqlite_url, ApiKeys(IMPORTED, environment=environment))
    with pytest.raises(ConfigurationError, match="LAB_API_KEY"), TestClient(app):
        pass


def test_a_value_that_can_be_no_key_is_refused_without_showing_it(sqlite_url):
    """More than 512 bytes would never be read."""
    _, app = fitted(sqlite_url, lab_keys("x1y2" * 129))
    with pytest.raises(ConfigurationError, match="LAB_API_KEY is longer") as refused, TestClient(app):
        pass
    assert "x1y2" not in str(refused.value)


def test_two_names_for_one_value_are_refused(sqlite_url):
    """Otherwise reports would name one caller for both."""
    imported = (*IMPORTED, ImportedKey(name="again", env="OTHER_KEY"))
    _, app = fitted(sqlite_url, ApiKeys(imported, environment={"LAB_API_KEY": LAB, "OTHER_KEY": f" {LAB} "}))
    with pytest.raises(ConfigurationError, match="same value"), TestClient(app):
        pass


@pytest.mark.req("L12")
def test_a_changed_value_leaves_the_old_one_working_until_it_is_revoked(database_url, caplog):
    """Rotation has an overlap, the log says so once, and revoking the old key ends it."""
    caplog.set_level(logging.WARNING, "rimlock.keys")
    for value in (LAB, LATER, LATER):
        auth, app = fitted(database_url, lab_keys(value))
        with TestClient(app) as client:
            works = [client.get("/me", headers={"X-API-Key": key}).status_code for key in (LAB, LATER)]
    lines = [record.getMessage() for record in caplog.records if "goes on working" in record.getMessage()]
    with TestClient(app) as client:
        kept = written(client, auth, lambda tx: keys.page(tx, None, after=None, limit=9))
        (old,) = (key for key in kept if key.hint.endswith(LAB[-4:]))
        written(client, auth, lambda tx: keys.revoke(tx, old.id, now=auth.context.now()))
        after = [client.get("/me", headers={"X-API-Key": key}).status_code for key in (LAB, LATER)]
    assert works == [200, 200]
    assert len(lines) == 1
    assert all(part in lines[0] for part in ("lab computers", "LAB_API_KEY", old.id))
    assert LAB not in caplog.text
    assert LATER not in caplog.text
    assert after == [401, 200]


def test_a_revoked_value_stays_revoked(database_url, caplog):
    """Starting again with the same value brings nothing back, and the log says why callers are refused."""
    auth, app = fitted(database_url, lab_keys())
    with TestClient(app) as client:
        (kept,) = written(client, auth, lambda tx: keys.page(tx, None, after=None, limit=9))
        written(client, auth, lambda tx: keys.revoke(tx, kept.id, now=auth.context.now()))
        refused = client.get("/me", headers={"X-API-Key": LAB})
    auth, app = fitted(database_url, lab_keys())
    with TestClient(app) as client:
        still = client.get("/me", headers={"X-API-Key": LAB})
    assert (refused.status_code, still.status_code) == (401, 401)
    assert 'error="invalid_token"' in still.headers["www-authenticate"]
    assert "was revoked and is refused" in caplog.text


def test_what_an_old_key_may_do_follows_the_rule_file(database_url):
    """Other scopes and roles in the file take effect at the next start, on the same key."""
    auth, app = fitted(database_url, lab_keys())
    with TestClient(app) as client:
        (before,) = written(client, auth, lambda tx: keys.page(tx, None, after=None, limit=9))
    changed = (ImportedKey(name="lab", env="LAB_API_KEY", scopes=frozenset({"analyses:read"})),)
    auth, app = fitted(database_url, lab_keys(imported=changed))
    with TestClient(app) as client:
        (after,) = written(client, auth, lambda tx: keys.page(tx, None, after=None, limit=9))
        me = client.get("/me", headers={"X-API-Key": LAB}).json()
    assert after.id == before.id
    assert (me["label"], me["roles"], me["scopes"]) == ("lab", [], ["analyses:read"])


def test_a_weak_value_works_and_is_complained_of(sqlite_url, caplog):
    """Breaking no caller comes first; the operator hears that the key can be guessed."""
    _, app = fitted(sqlite_url, lab_keys("secret123"))
    with TestClient(app) as client:
        assert client.get("/me", headers={"X-API-Key": "secret123"}).status_code == 200
    assert "easily guessed" in caplog.text
    assert "secret123" not in caplog.text


def test_values_come_from_the_process_unless_given(sqlite_url, monkeypatch):
    """The usual place for a key of the environment is the environment."""
    monkeypatch.setenv("LAB_API_KEY", f"{LAB}\n")
    _, app = fitted(sqlite_url, ApiKeys(IMPORTED))
    with TestClient(app) as client:
        assert client.get("/me", headers={"X-API-Key": LAB}).status_code == 200


@pytest.mark.attack("four processes at once")
def test_processes_that_start_together_make_one_row(database_url):
    """Four at once, each with the same keys: one row for each key, and none of them fails."""
    auth, app = fitted(database_url)
    with TestClient(app):
        pass
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(4)
    imported = (*IMPORTED, ImportedKey(name="night", env="NIGHT_KEY"))
    given = (database_url, imported, {"LAB_API_KEY": LAB, "NIGHT_KEY": LATER}, gate)
    started = [context.Process(target=start_and_stop, args=given) for _ in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    with TestClient(app) as client:
        rows = written(client, auth, lambda tx: keys.page(tx, None, after=None, limit=9))
    assert [process.exitcode for process in started] == [0] * 4
    assert sorted(row.name for row in rows) == ["lab computers", "night"]
