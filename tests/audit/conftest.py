"""The terminal of the command line's tests, here as well."""

from __future__ import annotations

from cli.conftest import terminal as terminal  # noqa: PLC0414 - a fixture is found by its name
