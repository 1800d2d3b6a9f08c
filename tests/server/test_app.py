"""The standalone server as an application: set by the environment, strict towards browsers."""

from __future__ import annotations

import stat

import pytest
from fastapi.testclient import TestClient

from rimlock import DESKTOP_ORIGINS, ConfigurationError
from rimlock.server import create_app

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
APP = "https://app.example.com"

pytestmark = pytest.mark.req("N6")


def settings(url, **more):
    return {"DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET, "RIMLOCK_CREATE_TABLES": "1", **more}


def preflight(client, origin):
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-rimlock",
    }
    return client.options("/auth/login", headers=asked)


def test_it_says_what_it_is_and_not_which_version(database_url):
    """The front answers with name, issuer and where the accounts are, on both databases."""
    with TestClient(create_app(settings(database_url, RIMLOCK_ISSUER="https://id.example.com"))) as client:
        answer = client.get("/")
        assert answer.json() == {"name": "Rimlock", "issuer": "https://id.example.com", "accounts": "/auth"}
        assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_every_answer_has_the_headers_browsers_obey(sqlite_url):
    """Found or not: no sniffing, no frames, no referrer, nothing loaded; no transport rule without https."""
    with TestClient(create_app(settings(sqlite_url))) as client:
        for path in ("/", "/nowhere", "/auth/nowhere"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "strict-transport-security" not in headers


def test_the_documentation_is_off_until_it_is_wanted(sqlite_url):
    """`RIMLOCK_DOCS=1` shows the page and the document; anything else shows neither."""
    for value, status in (("", 404), ("0", 404), ("1", 200)):
        with TestClient(create_app(settings(sqlite_url, RIMLOCK_DOCS=value))) as client:
            assert [client.get(path).status_code for path in ("/docs", "/openapi.json", "/redoc")] == [status] * 2 + [
                404
            ]


@pytest.mark.req("L4")
def test_exactly_the_listed_origins_may_call_with_credentials(sqlite_url):
    """The web app and the desktop origins are let in by name; what merely resembles them is not."""
    listed = [APP, *DESKTOP_ORIGINS]
    with TestClient(create_app(settings(sqlite_url, ALLOWED_ORIGINS=", ".join(listed)))) as client:
        for origin in listed:
            answer = preflight(client, origin)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert client.get("/", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
        strangers = ["https://app.example.com.evil.example", "http://app.example.com", "null", "https://tauri.local"]
        for origin in [*strangers, f"{APP}:8443", "https://evil.example"]:
            assert preflight(client, origin).status_code == 400
            assert "access-control-allow-origin" not in client.get("/", headers={"Origin": origin}).headers


@pytest.mark.req("L4")
@pytest.mark.parametrize("origins", ["*", f"{APP},*", "https://*.example.com"])
def test_a_wildcard_is_refused_at_the_start_with_the_mend(sqlite_url, origins):
    """No server is made; the sentence says what to write."""
    with pytest.raises(ConfigurationError, match=r"list each origin exactly, like https://app\.example\.com"):
        create_app(settings(sqlite_url, ALLOWED_ORIGINS=origins))


def test_postgresql_without_a_secret_is_refused_with_the_mend(postgres_url):
    """Several processes must share the secret, so none is made up."""
    with pytest.raises(ConfigurationError, match="set RIMLOCK_SECRETS to at least 32 random bytes"):
        create_app({"DATABASE_URL": postgres_url})


def test_a_guessable_secret_is_refused_with_the_mend(sqlite_url):
    """Short and sample secrets stop the start, and are not repeated."""
    for weak in ("tooshort", "changeme-changeme-changeme-changeme"):
        with pytest.raises(ConfigurationError, match="make one with: python -c") as refused:
            create_app({"DATABASE_URL": sqlite_url, "RIMLOCK_SECRETS": weak})
        assert weak not in str(refused.value)


def test_without_any_setting_a_file_holds_a_random_secret_for_its_owner_alone(tmp_path, monkeypatch):
    """SQLite beside the process, and a secret file of mode 0600 that the next start uses again."""
    monkeypatch.chdir(tmp_path)
    with TestClient(create_app({})) as client:
        assert client.get("/").status_code == 200
    place = tmp_path / "rimlock.secret"
    made = place.read_text()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert len(made) >= 43
    with TestClient(create_app({})) as client:
        assert client.get("/").status_code == 200
    assert place.read_text() == made
