"""`rimlock doctor`: says what is wrong with an installation, and how it is mended. It changes nothing.

Threat: a dangerous switch, a guessable secret or a foreign schema that nobody notices until it is used.
Source: OWASP ASVS 5.0 V13 (configuration); design section 7 (dangerous switches).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Application, Config, Json, environment, group, load
from rimlock.cli.showing import plain, show_json

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.retrofit.checks import Finding

app = group("Check the settings, the database and the keys of this installation.")

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
HostDatabase = Annotated[str | None, typer.Option(help="Look for keys in clear in this database instead of ours.")]
Url = Annotated[str | None, typer.Option(help="Ask a running server how it is, like http://127.0.0.1:8000.")]


@app.command()
def doctor(
    app_name: Application = None,
    config: Config = None,
    host_database: HostDatabase = None,
    url: Url = None,
    strict: Annotated[bool, typer.Option("--strict", help="A warning fails too.")] = False,  # noqa: FBT002 - a switch
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Check this installation, or the one on --app. The exit code is 1 when something fails; warnings leave it at 0."""
    findings = _examined(app_name, config, host_database, url)
    failed = any(finding.state in ({"fail", "warn"} if strict else {"fail"}) for finding in findings)
    if as_json:
        show_json({"well": not failed, "items": [asdict(one) for one in findings]})
    else:
        for one in findings:
            print(f"{MARKS[one.state]}  {one.name:<17}{plain(one.text)}")
            for word, said in (("why", one.why), ("mend", one.mend)):
                print(f"{'':<23}{word}: {plain(said)}" if said else "", end="\n" if said else "")
    if failed:
        raise typer.Exit(1)


def _examined(app_name: str | None, config: Path | None, host_database: str | None, url: str | None) -> list[Finding]:
    """Make or find the installation; on an application that refuses a wildcard origin too, as the start would."""
    from rimlock.cli.sentences import EXPECTED, sentence
    from rimlock.retrofit.checks import Finding, examine

    logging.getLogger("rimlock").addHandler(logging.NullHandler())
    try:
        found, auth = _found(app_name, config)
    except EXPECTED as error:
        what, _, mend = sentence(error).partition("; ")
        return [Finding("settings", "fail", what, why="nothing starts with these settings", mend=mend)]
    return asyncio.run(examine(auth, sentence, app=found, name=app_name, host_database=host_database, url=url))


def _found(app_name: str | None, config: Path | None) -> tuple[Any, Rimlock]:
    """Return the application, when one was named, and the installation. Where no secret was made yet, none is made."""
    from rimlock import Rimlock
    from rimlock.retrofit.checks.guessable import without_making_a_secret

    if app_name is not None:
        found, _ = load(app_name)
        return found, Rimlock.of(found)
    return None, Rimlock(without_making_a_secret(environment(config)))
