"""Settings: every one by the environment, and every unsafe one refused with the mend in the sentence."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.testclient import TestClient

from rimlock import DESKTOP_ORIGINS, ConfigurationError, Rimlock, Settings, Stage
from rimlock.settings import from_environment

pytestmark = pytest.mark.req("N6")
SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
OTHER = "w8Yb3Kq6TzR1nVxC5mJ7pL2sD9fG4hA0eUoIi2"

EVERY = {
    "secrets": (f"{SECRET}, {OTHER},", (SECRET, OTHER)),
    "jwt_secret": (SECRET, SECRET),
    "database": ("sqlite:///x.db", "sqlite:///x.db"),
    "issuer": ("https://api.example.com", "https://api.example.com"),
    "audience": ("https://lab.example.com", "https://lab.example.com"),
    "algorithm": ("ES256", "ES256"),
    "prefix": ("/konto", "/konto"),
    "origins": ("https://a.example,tauri://localhost", ("https://a.example", "tauri://localhost")),
    "access_lifetime": ("600", timedelta(minutes=10)),
    "session_lifetime": ("864000", timedelta(days=10)),
    "session_idle": ("86400", timedelta(days=1)),
    "browser_session": ("3600", timedelta(hours=1)),
    "refresh_grace": ("0", timedelta(0)),
    "signing_key_age": ("2592000", timedelta(days=30)),
    "password_minimum": ("12", 12),
    "password_composition": ("upper, digit", ("upper", "digit")),
    "product": ("lab,rimlock", ("lab", "rimlock")),
    "hash_workers": ("2", 2),
    "hash_queue": ("0", 0),
    "backend_url": ("https://api.example.com", "https://api.example.com"),
    "frontend_url": ("https://app.example.com", "https://app.example.com"),
    "mail_url": ("smtp://localhost:25", "smtp://localhost:25"),
    "mail_from": ("Lab <lab@example.com>", "Lab <lab@example.com>"),
    "mail_templates": (".", Path()),
    "mail_kept": ("86400", timedelta(days=1)),
    "product_name": ("Lab", "Lab"),
    "locale": ("de", "de"),
    "verification_lifetime": ("60", timedelta(minutes=1)),
    "recovery_lifetime": ("60", timedelta(minutes=1)),
    "require_verified": ("yes", True),
    "social": ('{"google": {"client_id": "g-1"}}', {"google": {"client_id": "g-1"}}),
    "registration": ("closed", "closed"),
    "invitation_lifetime": ("3600", timedelta(hours=1)),
    "temporary_password": ("3600", timedelta(hours=1)),
    "login_rate": ("9", 9),
    "lockout_after": ("9", 9),
    "lockout_time": ("60", timedelta(minutes=1)),
    "failures_in_all": ("50", 50),
    "known_device": ("86400", timedelta(days=1)),
    "registration_rate": ("10", 10),
    "limits_url": ("redis://cache:6379/2", "redis://cache:6379/2"),
    "on_limits_down": ("refuse", "refuse"),
    "trusted_proxies": ("10.0.0.0/8, ::1/128", ("10.0.0.0/8", "::1/128")),
    "usage": ("no", False),
    "usage_kept": ("86400", timedelta(days=1)),
    "audit_kept": ("86400", timedelta(days=1)),
    "api_key_headers": ("X-Lab-Key,X-API-Key", ("X-Lab-Key", "X-API-Key")),
    "api_key_query": ("key", ("key",)),
    "api_key_paths": ("/t/{key}/**", ("/t/{key}/**",)),
    "api_key_prefix": ("lab", "lab"),
    "config": ("rules.toml", Path("rules.toml")),
    "default_stage": ("observe", Stage.OBSERVE),
    "poll_interval": ("0.25", timedelta(milliseconds=250)),
    "max_staleness": ("2.5", timedelta(seconds=2.5)),
    "on_stale": ("ask", "ask"),
    "listen": ("no", False),
    "redis_url": ("redis://cache:6379/1", "redis://cache:6379/1"),
    "create_tables": ("true", True),
    "insecure_cookies": ("1", True),
    "insecure_smtp": ("1", True),
}


def test_the_table_here_names_every_setting():
    """A setting that is added has to be given its environment variable, and a case."""
    assert set(EVERY) == {one.name for one in fields(Settings)}


@pytest.mark.parametrize("name", EVERY)
def test_every_setting_can_be_set_by_the_environment(tmp_path, monkeypatch, name):
    """RIMLOCK_ and its name in capitals; what is not set has its default."""
    monkeypatch.chdir(tmp_path)
    text, value = EVERY[name]
    plain = from_environment({"RIMLOCK_SECRETS": SECRET})
    found = from_environment({"RIMLOCK_SECRETS": SECRET, f"RIMLOCK_{name.upper()}": text})
    assert getattr(found, name) == value != getattr(plain, name)
    others = {one.name for one in fields(Settings)} - {name}
    assert {one for one in others if getattr(found, one) != getattr(plain, one)} == set()


@pytest.mark.parametrize(
    "alias, name, text, value",
    [
        ("DATABASE_URL", "database", "sqlite:///x.db", "sqlite:///x.db"),
        ("JWT_SECRET", "jwt_secret", SECRET, SECRET),
        ("ALLOWED_ORIGINS", "origins", "https://a.example", ("https://a.example",)),
        ("REDIS_URL", "redis_url", "redis://cache", "redis://cache"),
        ("BACKEND_URL", "backend_url", "https://api.example", "https://api.example"),
        ("FRONTEND_URL", "frontend_url", "https://app.example", "https://app.example"),
    ],
)
def test_common_names_are_understood_and_ours_win(alias, name, text, value):
    """A platform that sets DATABASE_URL need not set it twice."""
    assert getattr(from_environment({"RIMLOCK_SECRETS": SECRET, alias: text}), name) == value
    ours = f"RIMLOCK_{name.upper()}"
    both = {"RIMLOCK_SECRETS": SECRET, alias: "redis://other" if name == "redis_url" else OTHER, ours: text}
    assert getattr(from_environment(both), name) == value


def test_keyword_arguments_win_over_the_environment():
    """What the application says itself is not overridden from outside."""
    assert from_environment({"RIMLOCK_SECRETS": SECRET, "RIMLOCK_PREFIX": "/a"}, prefix="/b").prefix == "/b"


def test_an_empty_variable_is_not_set():
    """A compose file that passes on what is not there changes nothing."""
    found = from_environment({"RIMLOCK_SECRETS": SECRET, "RIMLOCK_ISSUER": "", "ALLOWED_ORIGINS": ""})
    assert (found.issuer, tuple(found.origins)) == (Settings(secrets=[SECRET]).issuer, ())


def test_a_rule_file_in_the_working_directory_is_found(tmp_path, monkeypatch):
    """`rimlock.toml` beside the application needs no setting; without it there is none."""
    monkeypatch.chdir(tmp_path)
    assert from_environment({"RIMLOCK_SECRETS": SECRET}).config is None
    (tmp_path / "rimlock.toml").write_text("")
    assert from_environment({"RIMLOCK_SECRETS": SECRET}).config == Path("rimlock.toml")


@pytest.mark.parametrize(
    "name, text",
    [
        ("ACCESS_LIFETIME", "15m"),
        ("ACCESS_LIFETIME", "1e400"),
        ("ACCESS_LIFETIME", "nan"),
        ("PASSWORD_MINIMUM", "eight"),
        ("HASH_WORKERS", "1.5"),
        ("LISTEN", "perhaps"),
        ("INSECURE_COOKIES", "yes please"),
        ("DEFAULT_STAGE", "closed"),
    ],
)
def test_a_value_that_is_not_understood_is_refused_by_its_name(name, text):
    """The variable is named; its value is not repeated, it may be a secret in the wrong place."""
    with pytest.raises(ConfigurationError, match=f"RIMLOCK_{name} is not understood") as refused:
        from_environment({"RIMLOCK_SECRETS": SECRET, f"RIMLOCK_{name}": text})
    assert text not in str(refused.value)


@pytest.mark.parametrize(
    "name, text, mend",
    [
        ("AUDIT_KEPT", "90d", "write seconds, like 900"),
        ("LOGIN_RATE", "five", "write a whole number"),
        ("USAGE", "perhaps", "write true or false"),
        ("DEFAULT_STAGE", "closed", "write one of open, observe, optional, required"),
    ],
)
def test_the_refusal_of_a_value_says_what_to_write(name, text, mend):
    """Nobody has to look up in which form a number, a duration or a switch is written."""
    with pytest.raises(ConfigurationError, match=mend):
        from_environment({"RIMLOCK_SECRETS": SECRET, f"RIMLOCK_{name}": text})


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"prefix": "auth"}, "prefix 'auth' must begin with a slash"),
        ({"prefix": "/auth/"}, "prefix '/auth/' must begin with a slash and not end with one"),
        ({"prefix": ""}, "prefix '' must begin with a slash"),
        ({"issuer": "api.example.com"}, "issuer must be the public address"),
        ({"issuer": "ftp://api.example.com"}, "issuer must be the public address"),
        ({"issuer": "https://api.example.com?x=1"}, "issuer must be the public address"),
        ({"origins": ["*"]}, "a wildcard origin with credentials.*list each origin exactly, like https://app"),
        ({"origins": ["https://*.example.com"]}, "a wildcard origin with credentials"),
        ({"origins": ["https://a.example/"]}, "is not an origin; write scheme and host"),
        ({"origins": ["a.example"]}, "is not an origin"),
        ({"origins": ["null"]}, "is not an origin"),
        ({"origins": "https://a.example"}, "origins must be a list"),
        ({"secrets": SECRET}, "secrets must be a list"),
        ({"access_lifetime": timedelta(0)}, "access_lifetime must be longer than nothing"),
        ({"session_idle": timedelta(seconds=-1)}, "session_idle must be longer than nothing"),
        ({"access_lifetime": timedelta(hours=25)}, "access_lifetime may be at most 24 hours"),
        ({"refresh_grace": timedelta(minutes=6)}, "refresh_grace must lie between 0 and 300 seconds"),
        ({"refresh_grace": timedelta(seconds=-1)}, "refresh_grace must lie between 0 and 300 seconds"),
        ({"algorithm": "none"}, "algorithm must be one of EdDSA, ES256, RS256, HS256"),
        ({"algorithm": "HS256"}, "set JWT_SECRET to at least 32 random bytes"),
        ({"registration": "sometimes"}, "registration must be one of open, invitation, approval, closed"),
        ({"on_stale": "allow"}, "on_stale must be one of refuse, ask"),
        ({"on_limits_down": "allow"}, "on_limits_down must be one of database, refuse, insecure_allow"),
        ({"login_rate": 0}, "login_rate must be at least 1"),
        ({"lockout_after": 0}, "lockout_after must be at least 1"),
        ({"failures_in_all": -1}, "failures_in_all must be at least 1"),
        ({"registration_rate": 0}, "registration_rate must be at least 1"),
        ({"trusted_proxies": ["proxy.example.com"]}, "trusted_proxies: .*write networks, like 10.0.0.0/8"),
        ({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies must be a list"),
        ({"audit_kept": timedelta(0)}, "audit_kept must be longer than nothing"),
        ({"hash_workers": 0}, "hash_workers must be at least 1"),
        ({"hash_queue": -1}, "hash_queue not negative"),
    ],
)
def test_what_cannot_be_safe_is_refused_with_the_mend(given, sentence):
    """At construction, by keyword."""
    with pytest.raises(ConfigurationError, match=sentence):
        Settings(**{"secrets": [SECRET], **given})


@pytest.mark.req("L4")
@pytest.mark.parametrize("origins", ["*", "https://a.example,*", "https://*"])
def test_a_wildcard_origin_is_refused_from_the_environment_too(origins):
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match="list each origin exactly"):
        from_environment({"RIMLOCK_SECRETS": SECRET, "ALLOWED_ORIGINS": origins})


@pytest.mark.req("L4")
def test_the_desktop_origins_are_origins_and_count():
    """Tauri's pages on all three systems may be listed as they are, and send the cookie."""
    settings = Settings(secrets=[SECRET], origins=[*DESKTOP_ORIGINS, "https://app.example.com"])
    assert set(DESKTOP_ORIGINS) == {"tauri://localhost", "http://tauri.localhost", "https://tauri.localhost"}
    auth = Rimlock(settings, features=[])
    for origin in DESKTOP_ORIGINS:
        auth.context.browser.check({"headers": [(b"x-rimlock", b"1"), (b"origin", origin.encode())]})


@pytest.mark.req("L4")
def test_a_host_with_wildcard_and_credentials_is_refused_at_install():
    """Starlette would answer every origin as if it were trusted; the sentence says what to write."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
    with pytest.raises(
        ConfigurationError, match=r'allow_origins=\["https://app.example.com", \*rimlock.DESKTOP_ORIGINS'
    ):
        Rimlock(Settings(secrets=[SECRET]), features=[]).install(app)


@pytest.mark.req("L4")
@pytest.mark.parametrize("pattern", [".*", "https://.*", ".+", "^.*$"])
def test_a_host_with_an_expression_for_every_origin_is_refused_at_install(pattern):
    """An expression that any origin matches is a wildcard by another name."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origin_regex=pattern, allow_credentials=True)
    with pytest.raises(ConfigurationError, match="lets every site act as your users"):
        Rimlock(Settings(secrets=[SECRET]), features=[]).install(app)


@pytest.mark.req("L4")
def test_a_host_with_exact_origins_keeps_its_answers(sqlite_url):
    """The refusals of the gate carry the host's CORS headers, for listed origins and no other."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=list(DESKTOP_ORIGINS), allow_credentials=True)
    app.add_middleware(CORSMiddleware, allow_origin_regex=r"https://[a-z]+\.example\.com", allow_credentials=True)
    app.get("/private")(lambda: "in")
    auth = Rimlock(Settings(secrets=[SECRET], database=sqlite_url, default_stage=Stage.REQUIRED), features=[])
    auth.install(app)
    with TestClient(app) as client:
        for origin, expected in [("tauri://localhost", "tauri://localhost"), ("https://evil.example", None)]:
            answer = client.get("/private", headers={"Origin": origin})
            assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (401, expected)


@pytest.mark.req("L4")
def test_a_wildcard_that_comes_after_install_is_refused_at_start(sqlite_url):
    """Middleware that the host adds after install is looked at when the application starts."""
    app = FastAPI()
    Rimlock(Settings(secrets=[SECRET], database=sqlite_url), features=[]).install(app)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
    with pytest.raises(ConfigurationError, match="lets every site act"), TestClient(app):
        pass


def test_wildcard_without_credentials_is_the_hosts_own_affair():
    """A public interface may be read from anywhere, and preflights of others go on."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    Rimlock(Settings(secrets=[SECRET]), features=[]).install(app)


@pytest.mark.parametrize("secrets", [["short"], ["changeme" * 5], [SECRET, "short"], []])
def test_a_secret_that_can_be_guessed_is_refused(secrets):
    """Too short, a repeated word, a weak one beside a strong one, none."""
    with pytest.raises(ConfigurationError):
        Rimlock(Settings(secrets=secrets), features=[])


def test_settings_never_show_a_secret():
    """Neither in a repr nor in the sentence of a refusal."""
    found = from_environment(
        {
            "RIMLOCK_SECRETS": SECRET,
            "JWT_SECRET": OTHER,
            "DATABASE_URL": "postgresql://ann:pass-word@db/x",
            "REDIS_URL": "redis://:hush-hush@cache",
        }
    )
    shown = repr(found)
    assert not [text for text in (SECRET, OTHER, "pass-word", "hush-hush") if text in shown]


def test_postgres_without_a_secret_is_refused():
    """Several processes have to share it, so none is made up; JWT_SECRET serves as one."""
    url = "postgresql://localhost/rimlock"
    with pytest.raises(ConfigurationError, match="set RIMLOCK_SECRETS to at least 32 random bytes, the same for every"):
        from_environment({"DATABASE_URL": url})
    assert from_environment({"DATABASE_URL": url, "JWT_SECRET": SECRET}).secrets == (SECRET,)


def test_a_first_start_makes_a_secret_that_only_its_owner_can_read(tmp_path):
    """A file of mode 0600 beside the database, whatever the umask, found again at the next start."""
    before = os.umask(0)
    try:
        first = from_environment({"DATABASE_URL": f"sqlite:///{tmp_path}/a.db"})
    finally:
        os.umask(before)
    file = tmp_path / "rimlock.secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert from_environment({"DATABASE_URL": f"sqlite:///{tmp_path}/a.db"}).secrets == first.secrets
    assert len(first.secrets[0]) >= 43
    Rimlock(first, features=[])


def test_a_folder_that_cannot_be_written_is_refused_with_the_mend(tmp_path):
    """Where the file cannot be made, the sentence says what to set instead."""
    with pytest.raises(ConfigurationError, match=r"cannot be written.*set RIMLOCK_SECRETS"):
        from_environment({"DATABASE_URL": f"sqlite:///{tmp_path}/absent/a.db"})


def test_an_empty_secret_file_is_refused(tmp_path):
    """It is not filled behind the back of whoever emptied it."""
    (tmp_path / "rimlock.secret").write_text("")
    with pytest.raises(ConfigurationError, match=r"rimlock\.secret is empty; delete it"):
        from_environment({"DATABASE_URL": f"sqlite:///{tmp_path}/a.db"})


RACE = """
import sys
from rimlock.settings import from_environment
print("ready", flush=True)
sys.stdin.readline()
print(from_environment({"DATABASE_URL": sys.argv[1]}).secrets[0], flush=True)
"""


def test_eight_processes_that_start_at_once_have_one_secret(tmp_path):
    """One makes the file, the others read it, none half of it."""
    command = [sys.executable, "-c", RACE, f"sqlite:///{tmp_path}/a.db"]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    try:
        assert [one.stdout.readline() for one in started] == ["ready\n"] * 8
        for one in started:
            one.stdin.write("\n")
            one.stdin.flush()
        found = {one.stdout.readline().strip() for one in started}
    finally:
        for one in started:
            one.communicate(timeout=20)
    assert found == {(tmp_path / "rimlock.secret").read_text().strip()}
    assert {one.returncode for one in started} == {0}


def test_from_env_makes_a_rimlock(tmp_path, monkeypatch):
    """The short way: settings by the environment, parts by keyword."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/a.db")
    monkeypatch.setenv("RIMLOCK_PREFIX", "/konto")
    auth = Rimlock.from_env(features=[])
    assert (auth.settings.prefix, auth.features) == ("/konto", ())
    assert Rimlock.from_env({"RIMLOCK_SECRETS": SECRET}, features=[]).settings.prefix == "/auth"
