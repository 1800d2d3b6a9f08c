"""The explorer: questions over many results at once, and the export. Every route needs the key."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import StreamingResponse

from lab import queries
from lab.catalogue import METHODS
from lab.database import SessionDep, open_session
from lab.models import Analysis
from lab.queries import AnalysisFilter
from lab.routers.filters import FilterDep
from lab.schemas import Bucket, Outlier, Series, SummaryRow
from lab.security import require_api_key

router = APIRouter(prefix="/explorer", tags=["explorer"], dependencies=[Depends(require_api_key)])

COLUMNS = ("id", "sample", "instrument", "method", "result", "unit", "recorded_at", "note")
ROWS_PER_CHUNK = 500


@router.get("/summary")
def summarise(session: SessionDep, wanted: FilterDep) -> list[SummaryRow]:
    """Summarise the results by instrument and method."""
    return queries.summary(session, wanted)


@router.get("/series")
def time_series(session: SessionDep, wanted: FilterDep, bucket: Bucket = "month") -> Series:
    """Follow one method through time."""
    if wanted.method not in METHODS:
        raise HTTPException(400, "method must name one method of /methods")
    points = queries.series(session, wanted, bucket)
    return Series(method=wanted.method, unit=METHODS[wanted.method].unit, bucket=bucket, points=points)


@router.get("/outliers")
def find_outliers(
    session: SessionDep,
    wanted: FilterDep,
    score: Annotated[float, Query(ge=1, le=20, description="Standard deviations from the mean.")] = 4.0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[Outlier]:
    """Find the newest results that lie far from what their instrument and method usually give."""
    return queries.outliers(session, wanted, score, limit)


@router.get("/export.csv", response_class=StreamingResponse)
def export(wanted: FilterDep) -> StreamingResponse:
    """Download the results that fit as CSV, newest first."""
    disposition = {"Content-Disposition": 'attachment; filename="analyses.csv"'}
    return StreamingResponse(_csv(wanted), media_type="text/csv", headers=disposition)


def _csv(wanted: AnalysisFilter) -> Iterator[str]:
    # The download outlives the request's own session, so it has one of its own.
    with open_session() as session:
        yield _lines([COLUMNS])
        batch: list[tuple[object, ...]] = []
        for analysis in queries.every(session, wanted):
            batch.append(_cells(analysis))
            if len(batch) == ROWS_PER_CHUNK:
                yield _lines(batch)
                batch.clear()
        yield _lines(batch)


def _cells(analysis: Analysis) -> tuple[object, ...]:
    return (
        analysis.id,
        analysis.sample,
        _as_text(analysis.instrument_name),
        analysis.method,
        analysis.result,
        analysis.unit,
        analysis.recorded_at.isoformat(),
        _as_text(analysis.note or ""),
    )


def _as_text(value: str) -> str:
    # A spreadsheet takes a cell that starts like this for a formula.
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _lines(rows: Iterable[tuple[object, ...]]) -> str:
    buffer = StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
