"""The report about keys: who holds each, where it is used, and who has to act by when; as JSON and as a letter."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from retirement.retiring_host import ADMIN, PAGE, eventually, fitted, new_key, now_until, phase_of, retire
from rimlock import Rule, Stage
from rimlock.core.retirements import Phase
from rimlock.testing import sign_in

pytestmark = pytest.mark.req("L3", "L12")
RULES = [Rule(pattern="/plain", stage=Stage.REQUIRED)]


def test_the_report_names_holder_routes_clients_and_the_date(database_url, tmp_path):
    """Requests of every stage are counted under their key, those a brownout refused apart; unused keys are there."""
    auth, app = fitted(database_url, tmp_path, rules=RULES)
    with TestClient(app) as client:
        ann = sign_in(auth, client, roles=["admin"])
        old, sends = new_key(client, auth, "plotter\nTo: eve", user_id=ann.user.id)
        idle, _ = new_key(client, auth, "idle")
        retire(client, auth, old, sunset_at=4_000_000_000)
        for path in ("/plain", "/plain", "/missing"):
            client.get(path, headers=sends | {"User-Agent": "python-requests/2.31"})
        retire(client, auth, old, Phase.BROWNOUT, sunset_at=4_000_000_000, windows=now_until(auth))
        assert client.get("/plain", headers=sends).status_code == 401
        items = client.get(f"{ADMIN}/report", headers=ann.headers).json()["items"]
        used, unused = (next(one for one in items if one["id"] == key) for key in (old, idle))
        assert used["owner"]["email"] == "ann@example.com"
        assert (used["phase"], used["act_by"], used["requests"]) == ("brownout", "2096-10-02T07:06:40Z", 4)
        by_route = {(use["route"], use["refused"]): use for use in used["uses"]}
        assert by_route["GET /missing", 0]["requests"] == 1
        assert sum(use["requests"] for use in used["uses"] if use["route"] == "GET /plain") == 3
        assert sum(use["refused"] for use in used["uses"]) == 1
        assert any("requests" in use["client"] for use in used["uses"])
        assert used["last_used_at"] is not None
        letter = used["letter"]
        assert "ann@example.com" in letter
        assert PAGE in letter
        assert "before 2096-10-02 07:06 UTC" in " ".join(letter.split())
        assert "\nTo: eve" not in letter
        assert sends["X-API-Key"] not in letter
        assert all(len(line) <= 78 for line in letter.splitlines())
        assert (unused["phase"], unused["requests"], unused["act"]) == ("accept", 0, "Nothing.")


def test_the_report_comes_in_pages_and_for_one_key(sqlite_url, tmp_path):
    """In order of id, with a cursor; a key that is not there is not found."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        admin = sign_in(auth, client, roles=["admin"]).headers
        made = sorted(new_key(client, auth, f"key {number}")[0] for number in range(3))
        first = client.get(f"{ADMIN}/report", params={"limit": 2}, headers=admin).json()
        rest = client.get(f"{ADMIN}/report", params={"after": first["next"]}, headers=admin).json()
        assert [one["id"] for one in (*first["items"], *rest["items"])] == made
        assert rest["next"] is None
        (one,) = client.get(f"{ADMIN}/report", params={"key": made[1]}, headers=admin).json()["items"]
        assert one["id"] == made[1]
        assert client.get(f"{ADMIN}/report", params={"key": "0" * 32}, headers=admin).status_code == 404


def test_an_overdue_and_a_replaced_key_say_so(sqlite_url, tmp_path, clock):
    """A sunset that passed unheeded, a successor, a next brownout: all in the letter."""
    auth, app = fitted(sqlite_url, tmp_path, clock=clock)
    with TestClient(app) as client:
        admin = sign_in(auth, client, roles=["admin"]).headers
        late, _ = new_key(client, auth, "late")
        old, sends = new_key(client, auth, "old")
        retire(client, auth, late, sunset_at=int(clock()) - 5)
        client.get("/plain", headers=sends)
        made = client.post(f"/auth/api-keys/{old}/rotate", json={"overlap_in_days": 10}, headers=admin).json()
        eventually(lambda: phase_of(auth, f"key:{old}"), (Phase.DEPRECATED, ()))
        items = client.get(f"{ADMIN}/report", headers=admin).json()["items"]
        letters = {one["id"]: one["letter"] for one in items}
        assert "OVERDUE" in letters[late]
        assert "Nobody used it in 30 days" in letters[late]
        assert made["id"] in letters[old]
        assert "changes to the key that replaced it, before 2027-01-25 08:00 UTC." in " ".join(letters[old].split())
        assert "Nothing." in letters[made["id"]]


@pytest.mark.parametrize(
    ("usage", "path", "advice"),
    [
        (True, "/auth/api-keys", "Find out who uses it: it was used on 2027-01-15, on no route that is counted."),
        (False, "/mine", "Find out who uses it: requests are not counted here."),
        (False, None, "Find out who uses it: requests are not counted here."),
        (True, None, "Nobody used it in 30 days; it can be ended."),
    ],
)
def test_only_a_key_that_was_watched_and_not_seen_can_be_ended(sqlite_url, tmp_path, clock, usage, path, advice):
    """A key that is used where nothing is counted would be ended on the day its forgotten user needs it."""
    auth, app = fitted(sqlite_url, tmp_path, clock=clock, usage=usage)
    with TestClient(app) as client:
        admin = sign_in(auth, client, roles=["admin"]).headers
        old, sends = new_key(client, auth)
        retire(client, auth, old)
        if path:
            client.get(path, headers=sends)
        (one,) = client.get(f"{ADMIN}/report", headers=admin).json()["items"]
        assert one["act"] == advice
