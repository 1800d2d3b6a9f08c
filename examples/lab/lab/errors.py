"""The laboratory's own error, and how it looks on the wire."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


@dataclass
class OutOfRange(Exception):
    """A result that the method cannot produce. Limits and result are in `unit`."""

    method: str
    unit: str
    result: float
    low: float
    high: float

    def __str__(self) -> str:
        """Say what is wrong in one sentence."""
        return f"{self.method} must be between {self.low:g} and {self.high:g} {self.unit}, not {self.result:g}."


def install_error_handlers(app: FastAPI) -> None:
    """Answer OutOfRange with 422 and the laboratory's envelope; every other error keeps FastAPI's own form."""
    app.add_exception_handler(OutOfRange, _answer_out_of_range)


def _answer_out_of_range(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OutOfRange)
    envelope = {"code": "out_of_range", "message": str(error), **asdict(error)}
    return JSONResponse({"error": envelope}, status_code=422)
