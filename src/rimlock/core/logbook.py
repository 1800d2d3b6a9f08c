"""Events as lines of a log, and a formatter that makes one JSON object of each record.

Threat: a line of a log that somebody made up by what they sent; a secret in a log; a log that strangers can flood.
Source: OWASP ASVS 5.0 V16.2.2 to V16.2.5, V16.4.1; RFC 8259; RFC 3339.

Records go to the logger `rimlock.audit`. Whether and where they are written is for whoever runs the process: nothing
here adds a handler or sets a level.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from rimlock.core.audit import account_of, plain

if TYPE_CHECKING:
    from rimlock.core.audit import Entry
    from rimlock.core.events import Event

__all__ = ["LOGGER", "JsonFormatter", "fields", "tell"]

LOGGER = "rimlock.audit"
FRAMES = 30
LONGEST_TEXT = 8_000

_log = logging.getLogger(LOGGER)


def tell(event: Event) -> None:
    """Log an event: as a warning what is grave, everything else as information."""
    told = event.told
    if not told.logged:
        return
    level = logging.WARNING if told.is_grave(event) else logging.INFO
    if _log.isEnabledFor(level):
        entry = account_of(event)
        _log.log(level, "%s", _sentence(entry), extra=fields(entry))


def fields(entry: Entry) -> dict[str, Any]:
    """Return the fields that a record carries besides its sentence."""
    return {
        "event": entry.event,
        "outcome": entry.outcome,
        "actor": entry.actor,
        "subject": entry.subject,
        "address": entry.address,
        "agent": entry.agent,
        "facts": dict(entry.facts),
    }


class JsonFormatter(logging.Formatter):
    """Makes one line of each record: a JSON object in ASCII, with time, level, logger, message and all extra fields.

    Of an exception it keeps the type and the places it came through. Its text is left out: it may quote a secret.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter.format."""
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage()[:LONGEST_TEXT],
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = _error(record.exc_info)
        return _encoded(line)


def _sentence(entry: Entry) -> str:
    parts = [f"{entry.event} {entry.outcome}"]
    parts += [
        f"{name}={value}"
        for name, value in (("subject", entry.subject), ("actor", entry.actor), ("address", entry.address))
        if value
    ]
    return " ".join([*parts, json.dumps(entry.facts)] if entry.facts else parts)


def _encoded(line: dict[str, Any]) -> str:
    """JSON knows neither endless numbers nor every object: those are shown as text."""
    try:
        return json.dumps(line, default=_text, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps({name: value if isinstance(value, str) else _text(value) for name, value in line.items()})


def _text(value: object) -> str:
    try:
        return str(value)[:LONGEST_TEXT]
    except Exception:  # noqa: BLE001 - a host's object may be unable to show itself
        return type(value).__name__


def _error(found: Any) -> dict[str, Any]:
    kind, _, trace = found
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(trace)[-FRAMES:]]
    return {"type": plain(kind.__qualname__, 200), "places": places}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_STANDARD = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
)  # the last one is of uvicorn, and coloured for a terminal
