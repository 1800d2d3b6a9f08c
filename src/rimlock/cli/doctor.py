"""`rimlock doctor`: says what is wrong with an installation, and how it is mended. It changes nothing.

Threat: a dangerous switch, a guessable secret or a foreign schema that nobody notices until it is used.
Source: OWASP ASVS 5.0 V13 (configuration); design section 7 (dangerous switches).
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rimlock.cli.running import Application, Config, Json, group, installation
from rimlock.cli.showing import show_json

if TYPE_CHECKING:
    from rimlock.retrofit.checks import Finding

app = group("Check the settings, the database and the keys of this installation.")

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


@app.command()
def doctor(app_name: Application = None, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Check this installation, or the one on --app. The exit code is 1 when something fails; warnings leave it at 0."""
    findings = _examined(app_name, config)
    failed = any(finding.state == "fail" for finding in findings)
    if as_json:
        items = [{"name": one.name, "state": one.state, "text": one.text} for one in findings]
        show_json({"well": not failed, "items": items})
    else:
        for one in findings:
            print(f"{MARKS[one.state]}  {one.name:<14}{one.text}")
    if failed:
        raise typer.Exit(1)


def _examined(app_name: str | None, config: Path | None) -> list[Finding]:
    """Make or find the installation; on an application that refuses a wildcard origin too, as the start would."""
    from rimlock.cli.sentences import EXPECTED, sentence
    from rimlock.retrofit.checks import Finding, examine

    logging.getLogger("rimlock").addHandler(logging.NullHandler())
    try:
        auth = installation(app_name, config)
    except EXPECTED as error:
        return [Finding("settings", "fail", sentence(error))]
    return asyncio.run(examine(auth, sentence))
