"""A source beside our own tables, in the same database, and the command that imports it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from importers.sources import SECRET
from rimlock.cli.main import main


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer as a program reads it."""
        assert self.out, self.err
        return json.loads(self.out)


class Command:
    """Runs `rimlock`; the tables it works on are at `url`. `said`: everything it ever printed."""

    def __init__(self, patch, capture, tmp_path, url):
        self._patch, self._capture, self.url = patch, capture, url
        patch.chdir(tmp_path)
        self.said = ""

    def __call__(self, *arguments: str, **more: str) -> Outcome:
        given = {"DATABASE_URL": self.url, "RIMLOCK_SECRETS": SECRET, "RIMLOCK_CREATE_TABLES": "1", **more}
        with self._patch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            self._capture.readouterr()
            code = main(arguments)
        out, err = self._capture.readouterr()
        self.said += out + err
        return Outcome(code, out, err)


@pytest.fixture
def rimlock(monkeypatch, capsys, tmp_path, database_url):
    """The command on a new database of each kind."""
    return Command(monkeypatch, capsys, tmp_path, database_url)


@pytest.fixture
def rimlock_on_sqlite(monkeypatch, capsys, tmp_path, sqlite_url):
    """The command on a new SQLite file."""
    return Command(monkeypatch, capsys, tmp_path, sqlite_url)
