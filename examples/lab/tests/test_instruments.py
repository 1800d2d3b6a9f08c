"""Instruments, methods, health."""

from __future__ import annotations


def test_an_added_instrument_can_be_read(client, keyed):
    """Adding answers 201; everybody may read."""
    body = {"name": "TOC 1", "model": "Kelvin TOC-C", "location": "Room 14", "commissioned_on": "2020-11-02"}
    answer = keyed.post("/instruments", json=body)
    assert answer.status_code == 201
    assert answer.json() == body | {"id": answer.json()["id"], "active": True}
    assert client.get(f"/instruments/{answer.json()['id']}").json() == answer.json()


def test_instruments_are_listed_by_name(client, keyed):
    """The order does not depend on when they were added."""
    for name in ("pH 1", "IC 1", "TOC 1"):
        keyed.post("/instruments", json={"name": name, "model": "Any"})
    assert [instrument["name"] for instrument in client.get("/instruments").json()] == ["IC 1", "TOC 1", "pH 1"]


def test_a_missing_instrument_is_404(client):
    """An instrument that is not there is 404."""
    answer = client.get("/instruments/5")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Instrument not found"})


def test_two_instruments_cannot_share_a_name(client, keyed, instrument):
    """The second is 409 and is not stored."""
    answer = keyed.post("/instruments", json={"name": "IC 1", "model": "Another"})
    assert answer.status_code == 409
    assert answer.json() == {"detail": "There is already an instrument named IC 1"}
    assert [row["id"] for row in client.get("/instruments").json()] == [instrument]


def test_an_instrument_needs_a_name(keyed):
    """FastAPI's validation answer names the field."""
    answer = keyed.post("/instruments", json={"name": "", "model": "Any"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "name"]


def test_the_catalogue_lists_methods_with_units_and_limits(client):
    """The methods are what the application knows, not what is in the database."""
    methods = {method["code"]: method for method in client.get("/methods").json()}
    assert methods["ph"] == {"code": "ph", "title": "pH, glass electrode", "unit": "pH", "low": 0.0, "high": 14.0}
    assert len(methods) == 11


def test_health_answers(client):
    """Whoever watches the process needs no key."""
    assert client.get("/health").json() == {"status": "ok"}
