"""What the host's OpenTelemetry is told: words on spans, numbers through the meter, nothing secret, nothing unasked."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from access.host import KEY, Keys, fitted
from rimlock import Stage
from rimlock.features.metrics import MetricsFeature
from rimlock.testing import sign_in

pytestmark = pytest.mark.req("L3")


@pytest.fixture
def spans():
    """What the host's tracer exports."""
    return InMemorySpanExporter()


def traced(url, spans, stage, **given):
    """Return an application whose own middleware opens a span around each request."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    app = FastAPI()
    app.get("/x")(lambda: 1)
    tracer = provider.get_tracer("host")

    @app.middleware("http")
    async def around(request, call_next):
        with tracer.start_as_current_span("request"):
            return await call_next(request)

    return app, fitted(app, url, features=[Keys(), MetricsFeature()], default_stage=stage, **given)


@pytest.mark.asvs("16.2.5")
@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("stage", list(Stage))
def test_the_span_of_a_request_says_how_it_was_judged(sqlite_url, spans, stage, usage):
    """Stage, kind of credential, outcome, a key's id; no token, session, user or address. Also without usage."""
    app, auth = traced(sqlite_url, spans, stage, usage=usage)
    with TestClient(app) as client:
        visitor = sign_in(auth, client, email="somebody@example.com")
        for _ in range(2):
            for sent in ({}, visitor.headers, {"X-API-Key": KEY}):
                client.get("/x", headers=sent)
    told = [dict(span.attributes) for span in spans.get_finished_spans()]
    known = [{name: value for name, value in one.items() if name.startswith("rimlock.")} for one in told]
    plain = {"rimlock.stage": stage.value}
    assert known == 2 * [
        plain | {"rimlock.credential": "none", "rimlock.outcome": "credential_missing"},
        plain | {"rimlock.credential": "token", "rimlock.outcome": "allowed"},
        plain | {"rimlock.credential": "key", "rimlock.outcome": "allowed", "rimlock.key_id": "k1"},
    ]
    everything = str(told)
    for secret in (visitor.access_token, visitor.session_id, visitor.user.id, "somebody", KEY):
        assert secret not in everything


def test_the_numbers_are_read_through_the_hosts_meter(sqlite_url, monkeypatch):
    """Each export carries the counters and gauges as they are at that moment."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    app = FastAPI()
    app.get("/x")(lambda: 1)
    fitted(app, sqlite_url, features=[MetricsFeature()], default_stage=Stage.REQUIRED)
    with TestClient(app) as client:
        assert [client.get("/x").status_code for _ in range(3)] == [401] * 3
        exported = reader.get_metrics_data()
    (resource,) = exported.resource_metrics
    (scope,) = resource.scope_metrics
    found = {metric.name: metric.data.data_points for metric in scope.metrics}
    (point,) = found["rimlock.requests"]
    labels = {"stage": "required", "credential": "none", "outcome": "credential_missing"}
    assert (point.value, dict(point.attributes)) == (3, labels)
    assert found["rimlock.hashing_in_flight"][0].value == 0
    provider.shutdown()


def test_nothing_of_it_is_imported_that_the_host_did_not_import(tmp_path):
    """An application that is fitted and started loads neither prometheus-client nor the SDK, and no more of the API."""
    program = """
import sys
import fastapi
before = set(sys.modules)
from fastapi.testclient import TestClient
from rimlock import Rimlock, Settings
app = fastapi.FastAPI()
app.get("/x")(lambda: 1)
settings = Settings(secrets=["hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"], database="sqlite:///a.db")
Rimlock(settings).install(app)
after = set(sys.modules) - before
print(sorted(name for name in after if name.startswith(("opentelemetry", "prometheus_client"))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_host_that_traces_nothing_is_not_asked(sqlite_url):
    """Without a recording span there is nothing to write on, and requests are answered as ever."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    fitted(app, sqlite_url, features=[MetricsFeature()])
    with TestClient(app) as client:
        assert not trace.get_current_span().is_recording()
        assert client.get("/x").status_code == 200
