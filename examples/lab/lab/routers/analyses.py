"""Results: list, read, record, correct, delete. Reading is free; writing needs the key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from lab import queries
from lab.catalogue import METHODS
from lab.database import SessionDep
from lab.live import FeedDep
from lab.models import Analysis
from lab.routers.filters import FilterDep
from lab.schemas import AnalysisIn, AnalysisOut, AnalysisPage, AnalysisPatch, RowId
from lab.security import require_api_key

router = APIRouter(tags=["analyses"])
write = [Depends(require_api_key)]

PageSize = Annotated[int, Query(ge=1, le=500, description="Results per page.")]
PageStart = Annotated[int, Query(ge=0, le=100_000_000, description="Results to skip.")]


@router.get("")
def list_analyses(session: SessionDep, wanted: FilterDep, limit: PageSize = 50, offset: PageStart = 0) -> AnalysisPage:
    """List results, newest first."""
    return queries.page(session, wanted, limit, offset)


@router.post("", status_code=201, dependencies=write)
def record_analysis(body: AnalysisIn, session: SessionDep, feed: FeedDep) -> AnalysisOut:
    """Record a result and announce it on the live feed."""
    analysis = Analysis()
    _fill(session, analysis, body)
    session.add(analysis)
    session.commit()
    recorded = AnalysisOut.model_validate(analysis)
    feed.publish({"type": "analysis", "analysis": recorded.model_dump(mode="json")})
    return recorded


@router.get("/{analysis_id}")
def read_analysis(analysis_id: RowId, session: SessionDep) -> AnalysisOut:
    """Read one result."""
    return AnalysisOut.model_validate(queries.existing_analysis(session, analysis_id))


@router.put("/{analysis_id}", dependencies=write)
def replace_analysis(analysis_id: RowId, body: AnalysisIn, session: SessionDep) -> AnalysisOut:
    """Correct a result as a whole."""
    analysis = queries.existing_analysis(session, analysis_id)
    _fill(session, analysis, body)
    session.commit()
    return AnalysisOut.model_validate(analysis)


@router.patch("/{analysis_id}", dependencies=write)
def correct_analysis(analysis_id: RowId, body: AnalysisPatch, session: SessionDep) -> AnalysisOut:
    """Correct the fields that are sent; the corrected result has to be as plausible as a new one."""
    analysis = queries.existing_analysis(session, analysis_id)
    _fill(session, analysis, _corrected(analysis, body))
    session.commit()
    return AnalysisOut.model_validate(analysis)


@router.delete("/{analysis_id}", status_code=204, response_model=None, dependencies=write)
def delete_analysis(analysis_id: RowId, session: SessionDep) -> None:
    """Delete a result."""
    session.delete(queries.existing_analysis(session, analysis_id))
    session.commit()


def _corrected(analysis: Analysis, patch: AnalysisPatch) -> AnalysisIn:
    changes = patch.model_dump(exclude_unset=True)
    # A new method brings its own unit unless the correction names one.
    kept = set(AnalysisIn.model_fields) - ({"unit"} if "method" in changes else set())
    return AnalysisIn.model_validate({name: getattr(analysis, name) for name in kept} | changes)


def _fill(session: SessionDep, analysis: Analysis, body: AnalysisIn) -> None:
    unit = _accepted_unit(body)
    analysis.instrument = queries.existing_instrument(session, body.instrument_id)
    for name, value in body.model_dump(exclude={"unit"}).items():
        setattr(analysis, name, value)
    analysis.unit = unit


def _accepted_unit(body: AnalysisIn) -> str:
    method = METHODS.get(body.method)
    if method is None:
        raise HTTPException(400, f"Unknown method: {body.method}")
    if body.unit not in {None, method.unit}:
        raise HTTPException(400, f"{method.code} is reported in {method.unit}")
    method.check(body.result)
    return method.unit
