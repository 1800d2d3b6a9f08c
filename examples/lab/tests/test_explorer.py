"""The explorer's questions and its export."""

from __future__ import annotations

import csv
from io import StringIO

import pytest


def test_the_summary_groups_by_instrument_and_method(keyed, record, instrument):
    """Count, mean, spread and period for each pair."""
    record(result=10, recorded_at="2026-03-02T08:00:00Z")
    record(result=14, recorded_at="2026-03-09T08:00:00Z")
    record(result=30, method="chloride")
    rows = keyed.get("/explorer/summary").json()
    assert [(row["method"], row["count"], row["mean"]) for row in rows] == [("chloride", 1, 30), ("nitrate", 2, 12)]
    assert rows[1] == {
        "instrument_id": instrument,
        "instrument_name": "IC 1",
        "method": "nitrate",
        "unit": "mg/L",
        "count": 2,
        "mean": 12.0,
        "deviation": 2.0,
        "minimum": 10.0,
        "maximum": 14.0,
        "first_recorded_at": "2026-03-02T08:00:00Z",
        "last_recorded_at": "2026-03-09T08:00:00Z",
    }


def test_the_summary_honours_the_filters(keyed, record):
    """The same filters as the list narrow the summary."""
    record(result=10, recorded_at="2026-03-02T08:00:00Z")
    record(result=14, recorded_at="2026-03-09T08:00:00Z")
    (row,) = keyed.get("/explorer/summary", params={"since": "2026-03-03"}).json()
    assert (row["count"], row["mean"]) == (1, 14)


@pytest.mark.parametrize(
    ("bucket", "starts"),
    [
        ("day", ["2026-02-27", "2026-03-02", "2026-03-08"]),
        ("week", ["2026-02-23", "2026-03-02"]),
        ("month", ["2026-02-01", "2026-03-01"]),
    ],
)
def test_the_series_gathers_by_day_week_and_month(keyed, record, bucket, starts):
    """A week begins on Monday; its Sunday belongs to it."""
    for day in ("2026-02-27", "2026-03-02", "2026-03-08"):
        record(recorded_at=f"{day}T23:59:00Z")
    answer = keyed.get("/explorer/series", params={"method": "nitrate", "bucket": bucket})
    assert answer.status_code == 200
    assert [point["start"] for point in answer.json()["points"]] == starts


def test_a_point_of_the_series_has_mean_and_extremes(keyed, record):
    """Other methods do not count."""
    record(result=10)
    record(result=14)
    record(result=99, method="chloride")
    body = keyed.get("/explorer/series", params={"method": "nitrate"}).json()
    point = {"start": "2026-03-01", "count": 2, "mean": 12.0, "minimum": 10.0, "maximum": 14.0}
    assert body == {"method": "nitrate", "unit": "mg/L", "bucket": "month", "points": [point]}


@pytest.mark.parametrize("params", [{}, {"method": "alchemy"}])
def test_the_series_needs_a_method(keyed, params):
    """Results of several methods do not share a scale."""
    answer = keyed.get("/explorer/series", params=params)
    assert (answer.status_code, answer.json()) == (400, {"detail": "method must name one method of /methods"})


def test_outliers_are_found_with_their_score(keyed, record):
    """One result far from thirty equal ones stands out; the others do not."""
    for _ in range(30):
        record(result=10)
    strange = record(result=100)
    (found,) = keyed.get("/explorer/outliers").json()
    assert found["analysis"] == strange
    assert found["score"] == pytest.approx(5.48, abs=0.01)
    assert keyed.get("/explorer/outliers", params={"score": 6}).json() == []


def test_equal_results_have_no_outliers(keyed, record):
    """A group without any spread is left out."""
    for _ in range(3):
        record(result=10)
    assert keyed.get("/explorer/outliers", params={"score": 1}).json() == []


def test_the_export_is_csv_with_a_header(keyed, record):
    """A download by name, one line per result, newest first."""
    older = record(note='Said "cloudy", twice')
    newer = record(sample="TAP-2", recorded_at="2026-03-03T09:30:00Z")
    answer = keyed.get("/explorer/export.csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="analyses.csv"'
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [int(row["id"]) for row in rows] == [newer["id"], older["id"]]
    assert rows[1] == {
        "id": "1",
        "sample": "RIV-1",
        "instrument": "IC 1",
        "method": "nitrate",
        "result": "10.0",
        "unit": "mg/L",
        "recorded_at": "2026-03-02T09:30:00+00:00",
        "note": 'Said "cloudy", twice',
    }


def test_the_export_honours_the_filters(keyed, record):
    """Only what fits is downloaded; an empty export still has its header."""
    record(sample="TAP-2")
    record()
    lines = keyed.get("/explorer/export.csv", params={"sample": "TAP-2"}).text.splitlines()
    assert len(lines) == 2
    assert keyed.get("/explorer/export.csv", params={"sample": "none"}).text.splitlines() == lines[:1]


def test_the_export_never_hands_a_formula_to_a_spreadsheet(keyed, record):
    """A note that looks like a formula is exported as text."""
    record(note="=1+2")
    (row,) = csv.DictReader(StringIO(keyed.get("/explorer/export.csv").text))
    assert row["note"] == "'=1+2"
