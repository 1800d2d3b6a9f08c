"""What is asked of the database, in one place: the list, the explorer's questions and the reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import sqrt
from typing import Any

from fastapi import HTTPException
from sqlalchemy import ColumnElement, Row, Select, String, func, select
from sqlalchemy.orm import Session

from lab.models import Analysis, Instrument
from lab.schemas import (
    ActivityPoint,
    AnalysisOut,
    AnalysisPage,
    Bucket,
    DayReport,
    InstrumentOut,
    InstrumentReport,
    Outlier,
    SeriesPoint,
    SummaryRow,
)

NEWEST_FIRST = (Analysis.recorded_at.desc(), Analysis.id.desc())


@dataclass(frozen=True, slots=True)
class AnalysisFilter:
    """Which results are wanted. `since` is included, `until` is not; None leaves a field open."""

    sample: str | None = None
    instrument_id: int | None = None
    method: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the WHERE clause, one element per filter that was given."""
        given = [
            (self.sample, Analysis.sample.__eq__),
            (self.instrument_id, Analysis.instrument_id.__eq__),
            (self.method, Analysis.method.__eq__),
            (self.since, Analysis.recorded_at.__ge__),
            (self.until, Analysis.recorded_at.__lt__),
        ]
        return [compare(value) for value, compare in given if value is not None]


def page(session: Session, wanted: AnalysisFilter, limit: int, offset: int) -> AnalysisPage:
    """Return one page of the results that fit, newest first, and how many fit in all."""
    total = session.scalar(select(func.count()).select_from(Analysis).where(*wanted.conditions()))
    rows = session.scalars(_chosen(wanted).limit(limit).offset(offset))
    items = [AnalysisOut.model_validate(row) for row in rows]
    return AnalysisPage(items=items, total=total or 0, limit=limit, offset=offset)


def latest(session: Session, wanted: AnalysisFilter, count: int) -> list[AnalysisOut]:
    """Return the `count` newest results that fit."""
    return [AnalysisOut.model_validate(row) for row in session.scalars(_chosen(wanted).limit(count))]


def every(session: Session, wanted: AnalysisFilter) -> Iterator[Analysis]:
    """Yield every result that fits, newest first, a thousand at a time from the database."""
    yield from session.scalars(_chosen(wanted).execution_options(yield_per=1_000))


def summary(session: Session, wanted: AnalysisFilter) -> list[SummaryRow]:
    """Return count, mean, spread and period for each pair of instrument and method."""
    statement = (
        select(
            Analysis.instrument_id,
            Instrument.name,
            Analysis.method,
            Analysis.unit,
            func.count(),
            func.avg(Analysis.result),
            _variance(),
            func.min(Analysis.result),
            func.max(Analysis.result),
            func.min(Analysis.recorded_at),
            func.max(Analysis.recorded_at),
        )
        .join(Analysis.instrument)
        .where(*wanted.conditions())
        .group_by(Analysis.instrument_id, Instrument.name, Analysis.method, Analysis.unit)
        .order_by(Instrument.name, Analysis.method)
    )
    return [_summary_row(row) for row in session.execute(statement)]


def series(session: Session, wanted: AnalysisFilter, bucket: Bucket) -> list[SeriesPoint]:
    """Return the results that fit, gathered by day, week or month, oldest first."""
    start = _bucket_start(bucket)
    statement = (
        select(start, func.count(), func.avg(Analysis.result), func.min(Analysis.result), func.max(Analysis.result))
        .where(*wanted.conditions())
        .group_by(start)
        .order_by(start)
    )
    return [
        SeriesPoint(start=date.fromisoformat(day), count=count, mean=mean, minimum=low, maximum=high)
        for day, count, mean, low, high in session.execute(statement)
    ]


def outliers(session: Session, wanted: AnalysisFilter, score: float, limit: int) -> list[Outlier]:
    """Return the newest results that lie more than `score` standard deviations from their group's mean."""
    groups = (
        select(
            Analysis.instrument_id,
            Analysis.method,
            func.avg(Analysis.result).label("mean"),
            _variance().label("variance"),
        )
        .where(*wanted.conditions())
        .group_by(Analysis.instrument_id, Analysis.method)
        .cte("groups")
    )
    distance = Analysis.result - groups.c.mean
    # Squares are compared, because a root is not built into every SQLite.
    statement = (
        select(Analysis, groups.c.mean, groups.c.variance)
        .join(groups, (groups.c.instrument_id == Analysis.instrument_id) & (groups.c.method == Analysis.method))
        .where(*wanted.conditions(), groups.c.variance > 0, distance * distance > score * score * groups.c.variance)
        .order_by(*NEWEST_FIRST)
        .limit(limit)
    )
    return [_outlier(analysis, mean, variance) for analysis, mean, variance in session.execute(statement)]


def activity(session: Session) -> list[ActivityPoint]:
    """Return how many results each month brought, oldest first."""
    month = _bucket_start("month")
    rows = session.execute(select(month, func.count()).select_from(Analysis).group_by(month).order_by(month))
    return [ActivityPoint(month=date.fromisoformat(start), count=count) for start, count in rows]


def day_report(session: Session, day: date) -> DayReport:
    """Return what was done on `day`, in UTC."""
    wanted = AnalysisFilter(since=_midnight(day), until=_midnight(day + timedelta(days=1)))
    samples = session.scalar(select(func.count(Analysis.sample.distinct())).where(*wanted.conditions()))
    counted = select(Analysis.method, func.count()).where(*wanted.conditions()).group_by(Analysis.method)
    rows = session.execute(counted.order_by(Analysis.method))
    by_method = {method: count for method, count in rows}  # noqa: C416 -- rows are not pairs to a type checker
    return DayReport(day=day, analyses=sum(by_method.values()), samples=samples or 0, by_method=by_method)


def instrument_report(session: Session, instrument: Instrument) -> InstrumentReport:
    """Return what `instrument` has done so far."""
    mine = AnalysisFilter(instrument_id=instrument.id).conditions()
    count, last = session.execute(select(func.count(), func.max(Analysis.recorded_at)).where(*mine)).one()
    methods = session.scalars(select(Analysis.method).where(*mine).distinct().order_by(Analysis.method))
    shown = InstrumentOut.model_validate(instrument)
    return InstrumentReport(instrument=shown, analyses=count, methods=list(methods), last_recorded_at=last)


def instruments(session: Session) -> Sequence[Instrument]:
    """Return every instrument, by name."""
    return session.scalars(select(Instrument).order_by(Instrument.name)).all()


def existing_instrument(session: Session, instrument_id: int) -> Instrument:
    """Return the instrument, or raise 404."""
    instrument = session.get(Instrument, instrument_id)
    if instrument is None:
        raise HTTPException(404, "Instrument not found")
    return instrument


def existing_analysis(session: Session, analysis_id: int) -> Analysis:
    """Return the result, or raise 404."""
    analysis = session.get(Analysis, analysis_id)
    if analysis is None:
        raise HTTPException(404, "Analysis not found")
    return analysis


def _chosen(wanted: AnalysisFilter) -> Select[Analysis]:
    return select(Analysis).where(*wanted.conditions()).order_by(*NEWEST_FIRST)


def _variance() -> ColumnElement[float]:
    mean = func.avg(Analysis.result)
    return func.avg(Analysis.result * Analysis.result) - mean * mean


def _bucket_start(bucket: Bucket) -> ColumnElement[str]:
    modifiers = {"day": (), "week": ("weekday 0", "-6 days"), "month": ("start of month",)}[bucket]
    return func.date(Analysis.recorded_at, *modifiers, type_=String)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _deviation(variance: float) -> float:
    # Rounding can leave the variance of equal results a hair below zero.
    return sqrt(max(variance, 0.0))


def _summary_row(row: Row[*tuple[Any, ...]]) -> SummaryRow:
    instrument_id, name, method, unit, count, mean, variance, low, high, first, last = row
    return SummaryRow(
        instrument_id=instrument_id,
        instrument_name=name,
        method=method,
        unit=unit,
        count=count,
        mean=mean,
        deviation=_deviation(variance),
        minimum=low,
        maximum=high,
        first_recorded_at=first,
        last_recorded_at=last,
    )


def _outlier(analysis: Analysis, mean: float, variance: float) -> Outlier:
    deviation = _deviation(variance)
    score = (analysis.result - mean) / deviation
    shown = AnalysisOut.model_validate(analysis)
    return Outlier(analysis=shown, mean=mean, deviation=deviation, score=round(score, 2))
