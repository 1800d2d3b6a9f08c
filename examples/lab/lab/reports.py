"""The reports: an application of its own, mounted under /reports, with its own documentation. Open to everybody."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from annotated_types import Interval
from fastapi import FastAPI

from lab import queries
from lab.database import SessionDep
from lab.schemas import ActivityPoint, DayReport, InstrumentReport, RowId

ReportDay = Annotated[date, Interval(ge=date(1990, 1, 1), le=date(2199, 12, 31))]


def create_reports() -> FastAPI:
    """Build the reports application."""
    reports = FastAPI(title="Lab reports", version="1.4.0")
    reports.get("/activity")(monthly_activity)
    reports.get("/daily")(daily_report)
    reports.get("/instruments/{instrument_id}")(report_on_instrument)
    return reports


def monthly_activity(session: SessionDep) -> list[ActivityPoint]:
    """Count the results of each month."""
    return queries.activity(session)


def daily_report(session: SessionDep, day: ReportDay) -> DayReport:
    """Report one day's work, in UTC."""
    return queries.day_report(session, day)


def report_on_instrument(instrument_id: RowId, session: SessionDep) -> InstrumentReport:
    """Report what an instrument has done so far."""
    return queries.instrument_report(session, queries.existing_instrument(session, instrument_id))
