"""The query parameters that several routes share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Query

from lab.queries import AnalysisFilter
from lab.schemas import RowId, UtcTime


def analysis_filter(
    sample: Annotated[str | None, Query(description="Exact sample code.")] = None,
    instrument_id: Annotated[RowId | None, Query(description="Instrument id, see /instruments.")] = None,
    method: Annotated[str | None, Query(description="Method code, see /methods.")] = None,
    since: Annotated[UtcTime | None, Query(description="Recorded at or after this moment.")] = None,
    until: Annotated[UtcTime | None, Query(description="Recorded before this moment.")] = None,
) -> AnalysisFilter:
    """Return the filter a caller asked for, or refuse a period that ends before it begins."""
    if since and until and since >= until:
        raise HTTPException(400, "since must be before until")
    return AnalysisFilter(sample=sample, instrument_id=instrument_id, method=method, since=since, until=until)


FilterDep = Annotated[AnalysisFilter, Depends(analysis_filter)]
