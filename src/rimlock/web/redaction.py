"""Takes keys that travel in addresses out of what this process logs.

Threat: a key in an access log, which is kept longer and read by more people than anything else.
Source: RFC 6750 section 5.3 (no bearer tokens in URLs); OWASP ASVS 5.0 V14.2.1, V16.2.5.

A filter rewrites the text and the arguments of log records. What a proxy in front logs is beyond its reach.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote_plus

from rimlock.crypto.opaque import api_key_pattern
from rimlock.web.credentials import path_expression

__all__ = ["ALWAYS", "LOGGERS", "Redaction", "install"]

HIDDEN = "[redacted]"

ALWAYS = frozenset({"access_token", "api_key", "code", "key", "refresh_token", "state", "token"})
"""Query parameters whose values are never logged, besides the configured ones."""

LOGGERS = ("uvicorn.access", "uvicorn.error", "gunicorn.access", "hypercorn.access", "rimlock")
"""Where a filter is put, and on every logger below `rimlock`. A filter is not inherited by loggers below."""

_PARAMETER = re.compile(r"([?&])([^=&\s?]{1,200})=([^&\s]*)")


@dataclass(frozen=True)
class Redaction:
    """What to hide: parameters of the query, the `{key}` of path templates, keys that look like ours.

    `below`: hide parameters only in addresses with this in them; a host's own addresses are its own business.
    """

    query: Sequence[str] = ()
    paths: Sequence[str] = ()
    key_prefix: str = "rl"
    below: str = ""

    def redact(self, text: str) -> str:
        """Return `text`, a path with a query or a sentence that contains one, without the keys in it."""
        for expression in self._paths:
            text = expression.sub(_hide_key, text)
        if self.below in text:
            text = _PARAMETER.sub(self._hide_value, text)
        return self._issued.sub(HIDDEN, text)

    def _hide_value(self, found: re.Match[str]) -> str:
        start, name, _ = found.groups()
        return f"{start}{name}={HIDDEN}" if unquote_plus(name).lower() in self._names else found[0]

    @cached_property
    def _names(self) -> frozenset[str]:
        return ALWAYS | {name.lower() for name in self.query}

    @cached_property
    def _paths(self) -> tuple[re.Pattern[str], ...]:
        """Logged is the path as it was sent, perhaps within a sentence; so only as much is asked for as is there."""
        return tuple(re.compile(_in_text(path_expression(template).pattern)) for template in self.paths)

    @cached_property
    def _issued(self) -> re.Pattern[str]:
        return re.compile(api_key_pattern(self.key_prefix))


class _Filter(logging.Filter):
    """Lets every record through, rewritten. One that cannot be rewritten loses its arguments."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self.redaction = redaction

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.args = _arguments(record.args, self.redaction.redact)
            record.msg = self.redaction.redact(record.msg) if isinstance(record.msg, str) else record.msg
        except Exception:  # noqa: BLE001 - a log line may be lost, a key may not be shown
            record.msg, record.args = "a log record could not be redacted", ()
        return True


def install(redaction: Redaction) -> None:
    """Put the filter on every logger that may name an address; the same redaction is never put on twice."""
    for logger in _loggers():
        if not any(isinstance(one, _Filter) and one.redaction == redaction for one in logger.filters):
            logger.addFilter(_Filter(redaction))


def _loggers() -> list[logging.Logger]:
    below = [name for name in logging.Logger.manager.loggerDict if name.startswith("rimlock.")]
    return [logging.getLogger(name) for name in (*LOGGERS, *below)]


def _arguments(given: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(given, Mapping):
        return {name: _argument(value, redact) for name, value in given.items()}
    return tuple(_argument(value, redact) for value in given) if isinstance(given, tuple) else given


def _argument(value: Any, redact: Callable[[str], str]) -> Any:
    return redact(value) if isinstance(value, str) else value


def _in_text(pattern: str) -> str:
    return pattern.removesuffix("(?:/.*)?").replace("[^/]+", r"[^/\s?]+")


def _hide_key(found: re.Match[str]) -> str:
    start, end = found.start("key") - found.start(), found.end("key") - found.start()
    return found[0][:start] + HIDDEN + found[0][end:]
