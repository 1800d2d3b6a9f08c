"""Filters, order and pages of the list."""

from __future__ import annotations

import pytest


@pytest.fixture
def week(keyed, record):
    """Five results of one week, two instruments, two methods, two samples."""
    second = keyed.post("/instruments", json={"name": "IC 2", "model": "Anholt IC 2400"}).json()["id"]
    record(sample="RIV-1", result=1, recorded_at="2026-03-02T08:00:00Z")
    record(sample="RIV-1", result=2, recorded_at="2026-03-03T08:00:00Z", instrument_id=second)
    record(sample="TAP-2", result=3, recorded_at="2026-03-04T08:00:00Z", method="chloride")
    record(sample="TAP-2", result=4, recorded_at="2026-03-05T08:00:00Z")
    record(sample="RIV-1", result=5, recorded_at="2026-03-06T08:00:00Z", method="chloride", instrument_id=second)
    return second


def results(client, **params):
    """Return the results a caller sees, in order."""
    answer = client.get("/analyses", params=params)
    assert answer.status_code == 200
    assert answer.json()["total"] >= len(answer.json()["items"])
    return [item["result"] for item in answer.json()["items"]]


@pytest.mark.usefixtures("week")
def test_the_newest_result_comes_first(client):
    """Without a filter everything is listed, newest first."""
    assert results(client) == [5, 4, 3, 2, 1]


@pytest.mark.usefixtures("week")
def test_filter_by_sample(client):
    """The sample code is matched exactly."""
    assert results(client, sample="RIV-1") == [5, 2, 1]
    assert results(client, sample="RIV") == []


def test_filter_by_instrument(client, week):
    """Only the named instrument's results are listed."""
    assert results(client, instrument_id=week) == [5, 2]


@pytest.mark.usefixtures("week")
def test_filter_by_method(client):
    """Only the named method's results are listed."""
    assert results(client, method="chloride") == [5, 3]


@pytest.mark.usefixtures("week")
def test_since_is_included_and_until_is_not(client):
    """A period begins at since and ends before until."""
    period = {"since": "2026-03-03T08:00:00Z", "until": "2026-03-05T08:00:00Z"}
    assert results(client, **period) == [3, 2]


@pytest.mark.usefixtures("week")
def test_times_in_filters_may_carry_an_offset(client):
    """An offset is honoured; no offset means UTC."""
    assert results(client, since="2026-03-06T09:00:00+01:00") == [5]
    assert results(client, since="2026-03-06T08:00:01") == []


def test_filters_narrow_together(client, week):
    """A result has to fit every filter."""
    assert results(client, instrument_id=week, method="chloride", sample="RIV-1") == [5]
    assert results(client, instrument_id=week, method="chloride", sample="TAP-2") == []


def test_a_period_that_ends_before_it_begins_is_400(client):
    """The mistake is named rather than answered with an empty list."""
    answer = client.get("/analyses", params={"since": "2026-03-05", "until": "2026-03-04"})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "since must be before until"}


@pytest.mark.usefixtures("week")
def test_pages_cover_everything_once(client):
    """Walking the pages meets every result in order, and each page tells the total."""
    pages = [client.get("/analyses", params={"limit": 2, "offset": offset}).json() for offset in (0, 2, 4, 6)]
    assert [[item["result"] for item in page["items"]] for page in pages] == [[5, 4], [3, 2], [1], []]
    assert {page["total"] for page in pages} == {5}
    assert (pages[1]["limit"], pages[1]["offset"]) == (2, 2)


@pytest.mark.usefixtures("week")
def test_the_total_counts_what_fits_the_filter(client):
    """A filtered page tells how many results fit, not how many there are."""
    answer = client.get("/analyses", params={"sample": "RIV-1", "limit": 1})
    assert (len(answer.json()["items"]), answer.json()["total"]) == (1, 3)


def test_results_of_one_moment_keep_a_stable_order(client, record):
    """Of results recorded at the same moment, the one entered last comes first."""
    for result in (1, 2, 3):
        record(result=result)
    assert results(client) == [3, 2, 1]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 501}, {"offset": -1}, {"since": "soon"}])
def test_paging_and_times_have_limits(client, params):
    """What cannot be answered is 422 and names the parameter."""
    answer = client.get("/analyses", params=params)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", next(iter(params))]
