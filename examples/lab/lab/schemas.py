"""What travels over the wire."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def as_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; a time without a zone is taken to be UTC already."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("not within the years 1 to 9999 in UTC") from error


UtcTime = Annotated[datetime, AfterValidator(as_utc)]
SampleCode = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
Name = Annotated[str, Field(min_length=1, max_length=80)]
FiniteResult = Annotated[float, Field(allow_inf_nan=False)]
RowId = Annotated[int, Field(ge=1, le=2**31 - 1)]
Note = Annotated[str, Field(max_length=2_000)]


class InstrumentIn(BaseModel):
    """A new instrument."""

    name: Name
    model: Annotated[str, Field(min_length=1, max_length=120)]
    location: Annotated[str, Field(max_length=80)] = ""
    commissioned_on: date | None = None
    active: bool = True


class InstrumentOut(BaseModel):
    """An instrument as the API shows it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    model: str
    location: str
    commissioned_on: date | None
    active: bool


class MethodOut(BaseModel):
    """A method of the catalogue."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    title: str
    unit: str
    low: float
    high: float


class AnalysisIn(BaseModel):
    """A new result, or the whole of a corrected one. The unit follows from the method when it is left out."""

    sample: SampleCode
    instrument_id: RowId
    method: str
    result: FiniteResult
    unit: str | None = None
    recorded_at: UtcTime
    note: Note | None = None


class AnalysisPatch(BaseModel):
    """A correction: only the fields that are sent change. Only the note can be emptied."""

    sample: SampleCode | None = None
    instrument_id: RowId | None = None
    method: str | None = None
    result: FiniteResult | None = None
    unit: str | None = None
    recorded_at: UtcTime | None = None
    note: Note | None = None

    @model_validator(mode="after")
    def only_the_note_may_be_null(self) -> Self:
        """Refuse an explicit null where the table needs a value."""
        emptied = [name for name in self.model_fields_set if name != "note" and getattr(self, name) is None]
        if emptied:
            raise ValueError(f"cannot be null: {', '.join(sorted(emptied))}")
        return self


class AnalysisOut(BaseModel):
    """A result as the API shows it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    sample: str
    instrument_id: int
    instrument_name: str
    method: str
    result: float
    unit: str
    recorded_at: datetime
    note: str | None
    created_at: datetime


class AnalysisPage(BaseModel):
    """One page of results. `total` counts every result that fits the filters."""

    items: list[AnalysisOut]
    total: int
    limit: int
    offset: int


class SummaryRow(BaseModel):
    """What one instrument did by one method. `deviation` is the population's standard deviation."""

    instrument_id: int
    instrument_name: str
    method: str
    unit: str
    count: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    first_recorded_at: datetime
    last_recorded_at: datetime


Bucket = Literal["day", "week", "month"]


class SeriesPoint(BaseModel):
    """The results of one day, week (from its Monday) or month (from its first)."""

    start: date
    count: int
    mean: float
    minimum: float
    maximum: float


class Series(BaseModel):
    """A method over time."""

    method: str
    unit: str
    bucket: Bucket
    points: list[SeriesPoint]


class Outlier(BaseModel):
    """A result far from its instrument's and method's mean; `score` counts standard deviations, with sign."""

    analysis: AnalysisOut
    mean: float
    deviation: float
    score: float


class ActivityPoint(BaseModel):
    """How many results a month brought."""

    month: date
    count: int


class DayReport(BaseModel):
    """One day's work."""

    day: date
    analyses: int
    samples: int
    by_method: dict[str, int]


class InstrumentReport(BaseModel):
    """An instrument's record."""

    instrument: InstrumentOut
    analyses: int
    methods: list[str]
    last_recorded_at: datetime | None
