"""The two tables: instruments, and the analyses made on them."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import DateTime, Dialect, ForeignKey, Index, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored as naive UTC because SQLite keeps no zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Drop the zone on the way in, after moving to UTC."""
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put UTC back on the way out."""
        return value and value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Root of the mapped classes."""


class Instrument(Base):
    """A machine that produces results."""

    __tablename__ = "instruments"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    model: Mapped[str] = mapped_column(String(120))
    location: Mapped[str] = mapped_column(String(80), default="")
    commissioned_on: Mapped[date | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


class Analysis(Base):
    """One result: what was measured, on which sample, by which instrument and method, and when."""

    __tablename__ = "analyses"
    __table_args__ = (
        Index("ix_analyses_recorded", "recorded_at", "id"),
        Index("ix_analyses_sample_recorded", "sample", "recorded_at"),
        Index("ix_analyses_instrument_recorded", "instrument_id", "recorded_at"),
        Index("ix_analyses_method_recorded", "method", "recorded_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sample: Mapped[str] = mapped_column(String(40))
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instruments.id"))
    method: Mapped[str] = mapped_column(String(40))
    result: Mapped[float]
    unit: Mapped[str] = mapped_column(String(16))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)

    instrument: Mapped[Instrument] = relationship(lazy="joined", innerjoin=True)

    @property
    def instrument_name(self) -> str:
        """The instrument's name, for answers that are read by people."""
        return self.instrument.name
