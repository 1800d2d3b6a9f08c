"""List, read, record, correct, delete."""

from __future__ import annotations

import pytest

NEW = {"sample": "TAP-7", "method": "chloride", "result": 31.5, "recorded_at": "2026-03-02T09:30:00Z"}


def test_an_empty_laboratory_lists_nothing(client):
    """The list is a page even when there is nothing to show."""
    answer = client.get("/analyses")
    assert answer.status_code == 200
    assert answer.json() == {"items": [], "total": 0, "limit": 50, "offset": 0}


def test_a_recorded_result_is_answered_whole(keyed, instrument):
    """Recording answers 201 with the stored row; the unit follows from the method."""
    answer = keyed.post("/analyses", json=NEW | {"instrument_id": instrument, "note": "Low volume"})
    assert answer.status_code == 201
    body = answer.json()
    created_at = body.pop("created_at")
    assert created_at.endswith("Z")
    assert body == {
        "id": 1,
        "sample": "TAP-7",
        "instrument_id": instrument,
        "instrument_name": "IC 1",
        "method": "chloride",
        "result": 31.5,
        "unit": "mg/L",
        "recorded_at": "2026-03-02T09:30:00Z",
        "note": "Low volume",
    }


def test_a_result_can_be_read_by_anybody(client, record):
    """Reading one result needs no key."""
    recorded = record()
    answer = client.get(f"/analyses/{recorded['id']}")
    assert answer.status_code == 200
    assert answer.json() == recorded


def test_a_missing_result_is_404(client):
    """An id that is not there is 404 in FastAPI's form."""
    answer = client.get("/analyses/4711")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Analysis not found"}


@pytest.mark.parametrize("wrong_id", ["abc", "0", "99999999999999999999"])
def test_an_id_that_cannot_be_is_422(client, wrong_id):
    """An id is a positive number that fits the column."""
    answer = client.get(f"/analyses/{wrong_id}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "analysis_id"]


def test_times_are_kept_in_utc(client, record):
    """A time with an offset is moved to UTC; one without is UTC already."""
    moved = record(recorded_at="2026-03-02T09:30:00+02:00")
    plain = record(recorded_at="2026-03-02T09:30:00")
    assert client.get(f"/analyses/{moved['id']}").json()["recorded_at"] == "2026-03-02T07:30:00Z"
    assert client.get(f"/analyses/{plain['id']}").json()["recorded_at"] == "2026-03-02T09:30:00Z"


@pytest.mark.parametrize(
    ("field", "value"),
    [("sample", ""), ("sample", "a b"), ("result", "much"), ("recorded_at", "yesterday"), ("method", None)],
)
def test_a_malformed_result_is_422_and_names_the_field(keyed, instrument, field, value):
    """FastAPI's own validation answer stays as it is."""
    answer = keyed.post("/analyses", json=NEW | {"instrument_id": instrument, field: value})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]


def test_an_implausible_result_is_refused_in_the_laboratorys_envelope(client, keyed, instrument):
    """What the method cannot produce is 422 with the limits, and nothing is stored."""
    answer = keyed.post("/analyses", json=NEW | {"instrument_id": instrument, "method": "ph", "result": 14.2})
    assert answer.status_code == 422
    assert answer.json() == {
        "error": {
            "code": "out_of_range",
            "message": "ph must be between 0 and 14 pH, not 14.2.",
            "method": "ph",
            "unit": "pH",
            "result": 14.2,
            "low": 0.0,
            "high": 14.0,
        }
    }
    assert client.get("/analyses").json()["total"] == 0


def test_an_unknown_method_is_refused(keyed, instrument):
    """Only methods of the catalogue can be recorded."""
    answer = keyed.post("/analyses", json=NEW | {"instrument_id": instrument, "method": "alchemy"})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "Unknown method: alchemy"}


def test_a_unit_that_is_not_the_methods_is_refused(keyed, instrument):
    """A result in another unit is not converted but refused."""
    answer = keyed.post("/analyses", json=NEW | {"instrument_id": instrument, "unit": "µg/L"})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "chloride is reported in mg/L"}


def test_an_unknown_instrument_is_refused(keyed):
    """A result belongs to an instrument that exists."""
    answer = keyed.post("/analyses", json=NEW | {"instrument_id": 99})
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Instrument not found"}


def test_put_replaces_the_whole_result(client, keyed, record):
    """PUT needs every field and empties what is left out."""
    recorded = record(note="Repeat")
    replacement = NEW | {"instrument_id": recorded["instrument_id"]}
    answer = keyed.put(f"/analyses/{recorded['id']}", json=replacement)
    assert answer.status_code == 200
    stored = client.get(f"/analyses/{recorded['id']}").json()
    assert stored == answer.json() == recorded | replacement | {"note": None, "unit": "mg/L"}


def test_put_of_a_part_is_422(keyed, record):
    """PUT does not guess what was left out."""
    assert keyed.put(f"/analyses/{record()['id']}", json={"result": 3}).status_code == 422


def test_patch_changes_only_what_is_sent(client, keyed, record):
    """PATCH leaves the other fields alone."""
    recorded = record(note="Repeat")
    answer = keyed.patch(f"/analyses/{recorded['id']}", json={"result": 11.25})
    assert answer.status_code == 200
    assert client.get(f"/analyses/{recorded['id']}").json() == recorded | {"result": 11.25}


def test_patch_can_empty_the_note_and_nothing_else(keyed, record):
    """Null is a value for the note and a mistake elsewhere."""
    recorded = record(note="Repeat")
    assert keyed.patch(f"/analyses/{recorded['id']}", json={"note": None}).json()["note"] is None
    assert keyed.patch(f"/analyses/{recorded['id']}", json={"result": None}).status_code == 422


def test_patch_to_another_method_takes_its_unit_and_its_limits(keyed, record):
    """A correction is as strict as a new result."""
    path = f"/analyses/{record(result=12.0)['id']}"
    assert keyed.patch(path, json={"method": "ph"}).json()["unit"] == "pH"
    assert keyed.patch(path, json={"result": 15}).json()["error"]["code"] == "out_of_range"
    assert keyed.get(path).json()["result"] == 12.0


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_what_is_not_there_cannot_be_changed(keyed, instrument, method):
    """Correcting or deleting a missing result is 404."""
    answer = keyed.request(method, "/analyses/9", json=NEW | {"instrument_id": instrument})
    assert answer.status_code == 404


def test_a_deleted_result_is_gone(client, keyed, record):
    """Deleting answers 204 without a body; reading and deleting again are 404."""
    path = f"/analyses/{record()['id']}"
    answer = keyed.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(path).status_code == 404
    assert keyed.delete(path).status_code == 404


def test_the_old_paths_serve_the_same_results(client, keyed, instrument):
    """The first desktop release reads and writes under /api/v1/analyses."""
    with keyed:
        recorded = keyed.post("/api/v1/analyses", json=NEW | {"instrument_id": instrument}).json()
        assert keyed.patch(f"/api/v1/analyses/{recorded['id']}", json={"result": 2}).status_code == 200
    assert client.get(f"/analyses/{recorded['id']}").json()["result"] == 2
    assert client.get("/api/v1/analyses").json() == client.get("/analyses").json()
    assert keyed.delete(f"/api/v1/analyses/{recorded['id']}").status_code == 204
    assert client.get("/analyses").json()["total"] == 0


def test_a_trailing_slash_is_redirected(client, record):
    """Callers that write /analyses/ are sent to /analyses."""
    record()
    hop = client.get("/analyses/?limit=1", follow_redirects=False)
    assert hop.status_code == 307
    assert hop.headers["location"].endswith("/analyses?limit=1")
    assert client.get("/analyses/?limit=1").json()["total"] == 1


def test_a_method_the_path_does_not_have_is_405(client):
    """The collection cannot be deleted."""
    assert client.delete("/analyses").status_code == 405
