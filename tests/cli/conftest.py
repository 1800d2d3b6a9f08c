"""A terminal for the command line: the program itself, in this process, with an environment of its own."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pytest

from rimlock.cli.main import main

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer as a program reads it."""
        return json.loads(self.out)


class Terminal:
    """Runs commands. `environment` is what they find; a database and a secret are in it from the start."""

    def __init__(self, patch, capture, tmp_path, url):
        self._patch, self._capture = patch, capture
        patch.chdir(tmp_path)
        for name in ("DATABASE_URL", "JWT_SECRET", "ALLOWED_ORIGINS", "RIMLOCK_SECRETS"):
            patch.delenv(name, raising=False)
        self.environment = {"DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET, "RIMLOCK_CREATE_TABLES": "1"}
        self.shown = ""

    def __call__(self, *arguments: str, typed: str = "", **more: str) -> Outcome:
        """Run one command; `typed` is its standard input, `more` further variables."""
        with self._patch.context() as patch:
            for name, value in {**self.environment, **more}.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO(typed))
            self._capture.readouterr()
            code = main(arguments)
        out, err = self._capture.readouterr()
        self.shown += out + err
        return Outcome(code, out, err)


@pytest.fixture
def terminal(monkeypatch, capsys, tmp_path, database_url):
    """A terminal on a new database of each kind."""
    return Terminal(monkeypatch, capsys, tmp_path, database_url)


@pytest.fixture
def lone_terminal(monkeypatch, capsys, tmp_path, sqlite_url):
    """A terminal on a new SQLite database."""
    return Terminal(monkeypatch, capsys, tmp_path, sqlite_url)
