"""The program itself: quick, sparing with imports, and never a stack trace for what was to be expected."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rimlock.cli.main import COMMANDS

LOADED = """
import sys
from rimlock.cli.main import main
code = main({arguments!r})
print(sorted(set(sys.modules) & {{"sqlalchemy", "fastapi", "starlette", "typer", "rich", "cryptography", "pydantic"}}))
sys.exit(code)
"""


def loaded(*arguments):
    """Run a command in a process of its own; return its code and which libraries it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=list(arguments))], capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()[-1]


def test_help_loads_nothing():
    """The overview needs no library at all, so that it is there at once."""
    assert loaded("--help") == (0, "[]")
    assert loaded("--version") == (0, "[]")


def test_the_commands_own_help_loads_no_database_and_no_framework():
    """A group's help is made from its module alone."""
    for name in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "rimlock.cli", name, "--help"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "typer" in imported, "the list is of what was imported"
        assert not imported & {"sqlalchemy", "fastapi", "starlette", "uvicorn", "rich", "cryptography"}, name


def test_every_command_is_in_the_help(lone_terminal):
    """What can be run is listed, with what it is for."""
    shown = lone_terminal("--help").out
    assert all(f"  {name} " in shown and purpose in shown for name, (_, purpose) in COMMANDS.items())


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("db", "nonsense"), ("user", "create"), ("routes",), ("db",)])
def test_misuse_is_two(lone_terminal, arguments):
    """A command that does not exist, or lacks an argument, is a mistake in usage: 2, and nothing was done."""
    assert lone_terminal(*arguments).code == 2


@pytest.mark.parametrize(
    "environment, told",
    [
        ({"RIMLOCK_SECRETS": "short"}, "RIMLOCK_SECRETS: the secret has 5 bytes and needs 32"),
        ({"RIMLOCK_SECRETS": "other-G7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"}, "put that secret back into RIMLOCK_SECR"),
        ({"ALLOWED_ORIGINS": "*"}, "list each origin exactly"),
        ({"DATABASE_URL": "mysql://ann:hidden-word@db/x"}, "not in 'mysql'"),
        ({"DATABASE_URL": "not an address hidden-word"}, "not a database address"),
        ({"DATABASE_URL": "postgresql://ann:hidden-word@127.0.0.1:1/x"}, "the database does not answer"),
        ({"RIMLOCK_CONFIG": "missing.toml"}, "missing.toml is not there"),
        ({"RIMLOCK_ACCESS_LIFETIME": "long"}, "RIMLOCK_ACCESS_LIFETIME is not understood"),
    ],
)
def test_what_can_be_expected_to_fail_is_one_sentence(lone_terminal, environment, told):
    """Exit code 1, one line on standard error with the mend, nothing on standard output, no trace and no password."""
    assert lone_terminal("user", "list").code == 0
    failed = lone_terminal("user", "list", **environment)
    assert (failed.code, failed.out) == (1, "")
    assert told in failed.err
    assert failed.err.startswith("rimlock: ")
    assert failed.err.count("\n") == 1
    assert "hidden-word" not in failed.err


@pytest.mark.parametrize("command", [["user", "list"], ["db", "current"], ["doctor"]])
def test_a_file_that_is_no_database_is_told_in_words(lone_terminal, tmp_path, command):
    """DATABASE_URL names some other file: a sentence, and the file stays as it was."""
    (tmp_path / "notes.txt").write_text("remember the milk\n" * 100)
    failed = lone_terminal(*command, DATABASE_URL=f"sqlite:///{tmp_path / 'notes.txt'}")
    assert failed.code == 1
    assert "whether DATABASE_URL is right" in failed.out + failed.err
    assert "Traceback" not in failed.out + failed.err
    assert (tmp_path / "notes.txt").read_text() == "remember the milk\n" * 100


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines"])
def test_a_key_has_a_name_that_can_be_read(lone_terminal, name):
    """The same names as over HTTP; no key is made for another."""
    failed = lone_terminal("key", "create", name)
    assert (failed.code, failed.out) == (1, "")
    assert "1 to 100 characters" in failed.err
    assert lone_terminal("key", "list", "--json").json["items"] == []


def test_the_rule_file_can_be_named(lone_terminal, tmp_path):
    """`--config` stands for RIMLOCK_CONFIG."""
    (tmp_path / "other.toml").write_text('default = "nonsense"\n')
    failed = lone_terminal("user", "list", "--config", "other.toml")
    assert failed.err == ("rimlock: other.toml: 'nonsense' is no stage; write open, observe, optional or required\n")


def test_the_tables_are_brought_up_and_down(terminal):
    """`db` says where the tables are, makes them, takes them away, and prints the statements without a database."""
    none = {"RIMLOCK_CREATE_TABLES": "0"}
    assert terminal("db", "current", **none).out == "none\n"
    before = terminal("db", "check", **none)
    assert before.code == 1
    assert "run `rimlock db upgrade`" in before.err
    assert terminal("user", "list", **none).code == 1
    assert terminal("db", "upgrade", **none).code == 0
    at = terminal("db", "current", "--json", **none).json
    assert at["current"] == at["head"]
    assert terminal("db", "check", **none).code == 0
    assert terminal("user", "list", **none).code == 0
    assert "CREATE TABLE auth_user" in terminal("db", "sql", **none).out
    assert terminal("db", "downgrade", "base", typed="n\n", **none).code == 1
    assert terminal("db", "current", **none).out != "none\n"
    assert terminal("db", "downgrade", "base", "--yes", **none).code == 0
    assert terminal("db", "current", **none).out == "none\n"
    wrong = terminal("db", "upgrade", "9999", **none)
    assert wrong.code == 1
    assert "there is no schema revision '9999'" in wrong.err


def test_tables_need_no_secret(lone_terminal, tmp_path):
    """A migration runs where no secret is set, and makes none."""
    done = lone_terminal("db", "upgrade", RIMLOCK_SECRETS="")
    assert done.code == 0
    assert not (tmp_path / "rimlock.secret").exists()


def test_the_installed_script_runs():
    """`rimlock` is what `python -m rimlock.cli` is."""
    done = subprocess.run([sys.executable, "-m", "rimlock.cli"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.startswith("Usage: rimlock")
    assert json.dumps(done.stderr) == '""'
