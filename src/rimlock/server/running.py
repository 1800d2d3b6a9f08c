"""Runs an application under uvicorn: one process or several, stopped without cutting anybody off.

Threat: a key in a query string that ends up in an access log; a stop that loses a request half-way.
Source: https://www.uvicorn.org/settings/; https://www.uvicorn.org/server-behavior/ (graceful process shutdown).
"""

from __future__ import annotations

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
        log_level="info",
    )
