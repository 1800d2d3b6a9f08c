"""Numbers for Prometheus: who may read them, what they say, and what they never say."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from access.host import KEY, fitted
from rimlock import Feature, Principal, Stage
from rimlock.core.errors import ConfigurationError
from rimlock.features.metrics import MetricsFeature, collector_of
from rimlock.features.password import PasswordFeature
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import sign_in
from rimlock.web.credentials import KeyReader, from_header

pytestmark = pytest.mark.req("L3")

METRICS = "/auth/metrics"
PASSWORD = "an elephant walks across the quiet harbour"


class Scrapers(Feature):
    """Knows two keys: one for the scraper, one for something else."""

    name = "scrapers"

    def readers(self, context):
        scopes = {b"scraper": frozenset({"metrics:read"}), KEY.encode(): frozenset({"read"})}

        def resolve(text, _now):
            return Principal(subject=f"key:{text.decode()}", kind="key", credential_id="k9", scopes=scopes[text])

        return [KeyReader([from_header("X-API-Key")], resolve)]


def application(url, **given):
    """Return a fitted application with sign-ins and one required route."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    features = [PasswordFeature(), SessionsFeature(), Scrapers(), MetricsFeature()]
    return app, fitted(app, url, features=features, default_stage=Stage.REQUIRED, **given)


def values(text, parse=prometheus):
    """Return every sample by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_only_an_administrator_or_a_key_for_it_may_scrape(sqlite_url):
    """Nobody 401; a plain account or another key 403; an administrator's token or the scope gets the text."""
    app, auth = application(sqlite_url)
    with TestClient(app) as client:
        admin, plain = sign_in(auth, client, roles=["admin"]), sign_in(auth, client, email="b@example.com")
        assert client.get(METRICS).status_code == 401
        assert client.get(METRICS, headers=plain.headers).status_code == 403
        assert client.get(METRICS, headers={"X-API-Key": KEY}).status_code == 403
        assert client.get(METRICS, headers=admin.headers).status_code == 200
        answer = client.get(METRICS, headers={"X-API-Key": "scraper"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert answer.headers["cache-control"] == "no-store"


def test_the_numbers_are_those_of_what_happened(sqlite_url):
    """Requests by stage, credential and outcome; sign-ins by how they ended; refreshes, thefts, revocations."""
    app, _ = application(sqlite_url)
    with TestClient(app) as client:
        new = {"email": "ann@example.com", "password": PASSWORD}
        assert client.post("/auth/register", json=new).status_code in {200, 201}
        login = lambda password: client.post("/auth/login", json={"login": "ann@example.com", "password": password})
        assert login("another password than hers it is").status_code == 401
        tokens = login(PASSWORD).json()
        renewed = client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
        header = {"Authorization": f"Bearer {renewed['access_token']}"}
        assert [client.get("/x", headers=header).status_code for _ in range(3)] == [200] * 3
        assert [client.get("/x").status_code for _ in range(2)] == [401] * 2
        assert client.post("/auth/logout", headers=header).status_code in {200, 204}
        found = values(client.get(METRICS, headers={"X-API-Key": "scraper"}).text)
    assert found["rimlock_requests_total", "allowed", "required", "token"] == 3
    assert found["rimlock_requests_total", "credential_missing", "none", "required"] == 2
    assert found["rimlock_sign_ins_total", "wrong_password"] == 1
    assert found["rimlock_sign_ins_total", "signed_in"] >= 1
    assert found["rimlock_refreshes_total",] == 1
    assert found["rimlock_refresh_reuse_total",] == 0
    assert found["rimlock_lockouts_total",] == 0
    assert found["rimlock_revocations_total", "session"] == 1
    assert found["rimlock_journal_stale",] == 0
    assert found["rimlock_hashing_in_flight",] == 0
    assert ("rimlock_usage_pending",) in found


def test_openmetrics_is_spoken_to_whoever_asks_for_it(sqlite_url):
    """The text is valid in the format the Accept header names."""
    app, _ = application(sqlite_url)
    with TestClient(app) as client:
        client.get("/x")
        wanted = {"X-API-Key": "scraper", "Accept": "application/openmetrics-text; version=1.0.0"}
        answer = client.get(METRICS, headers=wanted)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")
        assert values(answer.text, openmetrics)["rimlock_requests_total", "credential_missing", "none", "required"] == 1


@pytest.mark.asvs("16.2.5")
@pytest.mark.attack("metrics cardinality")
def test_no_number_names_anybody_and_strangers_make_no_series(sqlite_url):
    """However many paths, agents and credentials are invented, the series stay the same few, without any of them."""
    app, auth = application(sqlite_url)
    with TestClient(app) as client:
        visitor = sign_in(auth, client, email="somebody@example.com")
        client.get("/x", headers=visitor.headers)
        scrape = lambda: client.get(METRICS, headers={"X-API-Key": "scraper"}).text
        client.get("/nothing", headers={"Authorization": "Bearer a.b.c"})
        before = scrape()
        for number in range(200):
            client.get(f"/nothing/{number}", headers={"User-Agent": f"a{number}", "Authorization": f"Bearer {number}"})
        after = scrape()
    assert set(values(after)) == set(values(before))
    for text in ("somebody", visitor.user.id, visitor.session_id, "nothing", "k9"):
        assert text not in after


def test_counts_never_fall_when_they_are_written(sqlite_url):
    """A flush moves counts from memory to the table; the numbers go on."""
    app, auth = application(sqlite_url)
    with TestClient(app) as client:
        scrape = lambda: values(client.get(METRICS, headers={"X-API-Key": "scraper"}).text)
        for wanted in range(1, 5):
            client.get("/x")
            client.portal.call(auth.flush)
            assert scrape()["rimlock_requests_total", "credential_missing", "none", "required"] == wanted


def test_a_hosts_registry_takes_our_numbers_and_its_own_is_left_alone(sqlite_url):
    """The default registry knows nothing of us until the host registers the collector, in a registry of its choice."""
    from prometheus_client import REGISTRY, generate_latest

    app, auth = application(sqlite_url)
    registry = CollectorRegistry()
    registry.register(collector_of(auth))
    with TestClient(app) as client:
        client.get("/x")
        assert b"rimlock_requests_total" in generate_latest(registry)
        assert b"rimlock" not in generate_latest(REGISTRY)
    with pytest.raises(ConfigurationError):
        collector_of(fitted(FastAPI(), sqlite_url))
