"""Runs an application under uvicorn: one process or several, stopped without cutting anybody off.

Threat: a key in a query string that ends up in an access log; a stop that loses a request half-way; a forged
    `X-Forwarded-For` that gives every guess another address.
Source: https://www.uvicorn.org/settings/; https://www.uvicorn.org/server-behavior/ (graceful process shutdown).
"""

from __future__ import annotations

from typing import Any

from rimlock import ConfigurationError

__all__ = ["STANDALONE", "run"]

STANDALONE = "rimlock.server:create_app"
"""What is served when no application is named: a factory, so that each worker makes its own."""


def run(app: str, *, factory: bool, host: str, port: int, workers: int, patience: int, access_log: bool) -> None:
    """Serve `module:name` until the process is told to stop.

    `factory`: the name is a function that makes the application. `patience`: seconds that requests in flight get to
    finish. `access_log`: off unless wanted, since it repeats query strings. Raises ConfigurationError.
    """
    try:
        import uvicorn
        from uvicorn.config import LOGGING_CONFIG
    except ModuleNotFoundError:
        raise ConfigurationError("the server needs uvicorn; run pip install 'rimlock[server]'") from None
    uvicorn.run(
        app,
        factory=factory,
        host=host,
        port=port,
        workers=workers,
        timeout_graceful_shutdown=patience,
        access_log=access_log,
        server_header=False,
        proxy_headers=False,  # it would believe X-Forwarded-For of every program on this machine; trusted_proxies says
        log_config=_logging() if app == STANDALONE else LOGGING_CONFIG,
        log_level="info",
    )


def _logging() -> dict[str, Any]:
    """One JSON object a line, of everything this process logs; how a host's application logs is the host's."""
    out = {"handlers": ["lines"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "rimlock.core.logbook.JsonFormatter"}},
        "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "loggers": {"uvicorn": out, "uvicorn.access": out, "rimlock": out},
        "root": {"handlers": ["lines"], "level": "WARNING"},
    }
