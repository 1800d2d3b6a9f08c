"""The dashboard, its static files, the mounted reports, CORS and the documentation."""

from __future__ import annotations

import pytest

ORIGIN = "https://lab.example.org"


def test_the_dashboard_is_a_page_without_outside_resources(client):
    """The page works in a laboratory without internet access."""
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Lab</title>" in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_the_dashboard_answers_head(client):
    """Monitors ask for the head alone."""
    answer = client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(("name", "kind"), [("lab.css", "css"), ("lab.js", "javascript")])
def test_static_files_are_served_with_their_type(client, name, kind):
    """The page's parts come from /static."""
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(("text/" + kind, "application/" + kind))


def test_an_unchanged_static_file_is_not_sent_again(client):
    """A browser that has the file is told so."""
    tag = client.get("/static/lab.css").headers["etag"]
    assert client.get("/static/lab.css", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("path", ["/static/none.css", "/static/%2e%2e/main.py", "/nothing", "/reports/nothing"])
def test_what_is_not_there_is_404(client, path):
    """Neither a missing file, nor one outside the folder, nor an unknown path."""
    assert client.get(path).status_code == 404


def test_the_reports_count_results_by_month(client, record):
    """The mounted application reads the same database, and needs no key."""
    for day in ("2026-02-03", "2026-03-02", "2026-03-31"):
        record(recorded_at=f"{day}T12:00:00Z")
    activity = [{"month": "2026-02-01", "count": 1}, {"month": "2026-03-01", "count": 2}]
    assert client.get("/reports/activity").json() == activity


def test_the_daily_report_counts_samples_and_methods(client, record):
    """A day is a day in UTC."""
    record(sample="A")
    record(sample="A", method="chloride")
    record(sample="B", recorded_at="2026-03-02T23:59:59Z")
    record(sample="C", recorded_at="2026-03-03T00:00:00Z")
    by_method = {"chloride": 1, "nitrate": 2}
    expected = {"day": "2026-03-02", "analyses": 3, "samples": 2, "by_method": by_method}
    assert client.get("/reports/daily", params={"day": "2026-03-02"}).json() == expected
    assert client.get("/reports/daily").status_code == 422


def test_the_instrument_report_tells_its_methods(client, record, instrument):
    """An instrument's record; a missing instrument is 404."""
    record()
    record(method="chloride", recorded_at="2026-03-05T10:00:00Z")
    report = client.get(f"/reports/instruments/{instrument}").json()
    assert (report["instrument"]["name"], report["analyses"]) == ("IC 1", 2)
    assert (report["methods"], report["last_recorded_at"]) == (["chloride", "nitrate"], "2026-03-05T10:00:00Z")
    assert client.get("/reports/instruments/77").json() == {"detail": "Instrument not found"}


def test_the_reports_have_their_own_documentation(client):
    """The mounted application describes itself, and only itself."""
    assert client.get("/reports/docs").status_code == 200
    document = client.get("/reports/openapi.json").json()
    assert document["info"]["title"] == "Lab reports"
    assert {"/activity", "/daily", "/instruments/{instrument_id}"} <= set(document["paths"])


@pytest.mark.parametrize("origin", [ORIGIN, "tauri://localhost", "http://tauri.localhost"])
def test_a_known_origin_may_read_the_answers(client, origin):
    """The answer names the very origin that asked, and allows credentials."""
    answer = client.get("/analyses", headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"


def test_an_unknown_origin_may_not(client):
    """The answer does not name it."""
    answer = client.get("/analyses", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 200
    assert answer.headers.get("access-control-allow-origin") not in {"*", "https://elsewhere.example"}


def test_a_preflight_is_answered_without_the_key(client):
    """A browser asks before it sends the key."""
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "x-api-key,content-type"}
    answer = client.options("/analyses/1", headers={"Origin": ORIGIN, **asked})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"]


def test_a_refusal_can_be_read_across_origins(client):
    """A 401 carries the CORS headers, so that the front end can tell it from a network failure."""
    answer = client.get("/explorer/summary", headers={"Origin": ORIGIN, "X-API-Key": "wrong"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_the_openapi_document_describes_every_route(client):
    """The documentation lists the paths, the old ones as deprecated."""
    document = client.get("/openapi.json").json()
    assert document["info"]["title"] == "Lab"
    described = {(method, path) for path, item in document["paths"].items() for method in item}
    assert described >= {
        ("get", "/analyses"),
        ("post", "/analyses"),
        ("put", "/analyses/{analysis_id}"),
        ("patch", "/analyses/{analysis_id}"),
        ("delete", "/analyses/{analysis_id}"),
        ("post", "/instruments"),
        ("get", "/explorer/export.csv"),
        ("get", "/health"),
    }
    assert document["paths"]["/api/v1/analyses"]["get"]["deprecated"] is True


def test_the_openapi_document_says_where_the_key_goes(client):
    """The guarded routes name the header's scheme."""
    document = client.get("/openapi.json").json()
    scheme = document["components"]["securitySchemes"]["APIKeyHeader"]
    assert (scheme["in"], scheme["name"]) == ("header", "X-API-Key")
    assert {"APIKeyHeader": []} in document["paths"]["/analyses"]["post"]["security"]
    assert {"APIKeyHeader": []} in document["paths"]["/explorer/summary"]["get"]["security"]


def test_the_documentation_page_is_served(client):
    """People read /docs."""
    assert "swagger" in client.get("/docs").text.lower()
