"""`rimlock role`: what an account may do.

Threat: a role taken away that tokens already issued still have.
Source: OWASP ASVS 5.0 V8.3.2 (changes take effect at once).
"""

from __future__ import annotations

from rimlock.cli.running import group
from rimlock.cli.users import set_roles

app = group("Say what an account may do.")


@app.callback()
def role() -> None:
    """Say what an account may do."""


app.command("set")(set_roles)
