"""Fill a database with three plausible years: `python -m lab.seed --count 50000 --database sqlite:///lab.db`.

The same arguments always give the same rows. A database that has analyses already is left alone unless --force.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from operator import itemgetter
from random import Random
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from lab import database, settings
from lab.catalogue import METHODS
from lab.models import Analysis, Instrument

FIRST_DAY = date(2023, 7, 3)
DAYS = 3 * 365
BATCH = 5_000
OUTLIER_RATE = 0.004
DUPLICATE_RATE = 0.06
RECALIBRATION_DAYS = 91

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Machine:
    """An instrument of the generated laboratory. `drift` is the relative error it gathers between calibrations."""

    name: str
    model: str
    location: str
    commissioned_on: date
    methods: tuple[str, ...]
    drift: float
    active: bool = True


MACHINES = (
    Machine("pH 1", "Meridian pH 720", "Wet chemistry", date(2021, 3, 15), ("ph",), 0.006),
    Machine("Conductivity 1", "Meridian C 340", "Wet chemistry", date(2021, 3, 15), ("conductivity",), 0.010),
    Machine("Turbidity 1", "Clarion T 90", "Wet chemistry", date(2022, 9, 1), ("turbidity",), 0.025),
    Machine("IC 1", "Anholt IC 2100", "Room 12", date(2019, 5, 20), ("nitrate", "chloride", "sulfate"), 0.030),
    Machine("IC 2", "Anholt IC 2400", "Room 12", date(2023, 6, 12), ("nitrate", "chloride", "sulfate"), 0.012),
    Machine("TOC 1", "Kelvin TOC-C", "Room 14", date(2020, 11, 2), ("toc",), 0.028),
    Machine("ICP-OES 1", "Brandt Optima 5", "Metals", date(2018, 2, 7), ("iron",), 0.035),
    Machine("ICP-MS 1", "Brandt Trace 9", "Metals", date(2022, 1, 24), ("lead", "arsenic"), 0.018),
    Machine("GC-MS 1", "Fjord 7000", "Organics", date(2017, 8, 30), ("benzene",), 0.022, active=False),
    Machine("GC-MS 2", "Fjord 7800", "Organics", date(2023, 4, 3), ("benzene",), 0.011),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """How a method's results lie: around `centre`, by `width`; `skewed` ones on a logarithmic scale."""

    centre: float
    width: float
    digits: int
    skewed: bool = True
    season: float = 0.0


SPREADS = {
    "ph": Spread(7.4, 0.35, 2, skewed=False, season=0.01),
    "conductivity": Spread(540.0, 0.28, 0),
    "turbidity": Spread(1.1, 0.75, 2, season=0.30),
    "nitrate": Spread(11.0, 0.50, 2, season=0.25),
    "chloride": Spread(34.0, 0.45, 1),
    "sulfate": Spread(48.0, 0.40, 1),
    "toc": Spread(2.6, 0.45, 2, season=0.15),
    "iron": Spread(0.12, 0.80, 3),
    "lead": Spread(0.9, 0.70, 3),
    "arsenic": Spread(1.4, 0.55, 3),
    "benzene": Spread(0.15, 0.60, 3),
}

SITES = ("RIV", "WEL", "RES", "TAP", "LAK", "OUT")
PANELS = (
    ("ph", "conductivity", "turbidity"),
    ("ph", "conductivity", "nitrate", "chloride", "sulfate"),
    ("ph", "conductivity", "turbidity", "nitrate", "chloride", "sulfate", "toc", "iron", "lead", "arsenic"),
    ("iron", "lead", "arsenic"),
    ("toc", "benzene"),
    ("nitrate",),
)
NOTES = ("Diluted 1:10", "Repeat after recalibration", "Sample slightly cloudy", "Received unchilled", "Low volume")


def fill(url: str, count: int, *, seed: int = 1, force: bool = False) -> int:
    """Write `count` analyses into the database at `url` and return how many were written."""
    engine = database.configure(url)
    with engine.begin() as connection:
        if connection.scalar(select(func.count()).select_from(Analysis)) and not force:
            return 0
        connection.execute(delete(Analysis))
        instrument_ids = _instruments(connection)
        rows = analyses(count, instrument_ids, seed=seed)
        while batch := list(islice(rows, BATCH)):
            connection.execute(insert(Analysis), batch)
    return count


def analyses(count: int, instrument_ids: dict[str, int], *, seed: int = 1) -> Iterator[Row]:
    """Yield `count` rows in the order they were recorded, day by day over the three years."""
    random = Random(seed)
    quotas = _daily_quotas(count)
    for day, quota in quotas:
        rows = islice(_day(random, day, instrument_ids), quota)
        yield from sorted(rows, key=itemgetter("recorded_at"))


def _instruments(connection: Connection) -> dict[str, int]:
    known = {name: id_ for id_, name in connection.execute(select(Instrument.id, Instrument.name))}
    missing = [_instrument_row(machine) for machine in MACHINES if machine.name not in known]
    if missing:
        connection.execute(insert(Instrument), missing)
    return {name: id_ for id_, name in connection.execute(select(Instrument.id, Instrument.name))}


def _instrument_row(machine: Machine) -> Row:
    return {
        "name": machine.name,
        "model": machine.model,
        "location": machine.location,
        "commissioned_on": machine.commissioned_on,
        "active": machine.active,
        "created_at": datetime(2023, 7, 1, 8, tzinfo=UTC),
    }


def _daily_quotas(count: int) -> list[tuple[date, int]]:
    # Saturdays are short, Sundays free; what rounding leaves over is spread evenly.
    days = [FIRST_DAY + timedelta(days=number) for number in range(DAYS)]
    loads = [(day, (1.0, 1.0, 1.0, 1.0, 0.85, 0.15, 0.0)[day.weekday()]) for day in days]
    total = sum(load for _, load in loads)
    quotas, reached, given = [], 0.0, 0
    for day, load in loads:
        reached += load
        quota = round(count * reached / total) - given
        given += quota
        quotas.append((day, quota))
    return quotas


def _day(random: Random, day: date, instrument_ids: dict[str, int]) -> Iterator[Row]:
    number = 0
    while True:
        number += 1
        sample = f"{random.choice(SITES)}-{day:%y%m%d}-{number:03d}"
        panel = random.choice(PANELS)
        for method in random.sample(panel, len(panel)):
            row = _row(random, day, sample, method, instrument_ids)
            yield row
            if random.random() < DUPLICATE_RATE:
                yield _duplicate(random, row)


def _row(random: Random, day: date, sample: str, method: str, instrument_ids: dict[str, int]) -> Row:
    machine = _machine_for(random, method, day)
    recorded_at = _working_moment(random, day)
    return {
        "sample": sample,
        "instrument_id": instrument_ids[machine.name],
        "method": method,
        "result": _result(random, method, machine, day),
        "unit": METHODS[method].unit,
        "recorded_at": recorded_at,
        "note": random.choice(NOTES) if random.random() < 0.03 else None,
        "created_at": recorded_at + timedelta(minutes=random.randint(2, 90)),
    }


def _duplicate(random: Random, row: Row) -> Row:
    later = timedelta(minutes=random.randint(4, 25))
    result = round(row["result"] * random.gauss(1.0, 0.01), SPREADS[row["method"]].digits)
    return row | {
        "result": min(result, METHODS[row["method"]].high),
        "recorded_at": row["recorded_at"] + later,
        "created_at": row["created_at"] + later,
        "note": "Duplicate",
    }


def _machine_for(random: Random, method: str, day: date) -> Machine:
    # The retired machine worked during the first year, beside its successor.
    able = [machine for machine in MACHINES if method in machine.methods]
    return random.choice([machine for machine in able if machine.active or day < date(2024, 7, 1)])


def _working_moment(random: Random, day: date) -> datetime:
    # Busiest late in the morning; nothing before half past six or after half past seven in the evening, UTC.
    minute = min(max(random.gauss(11 * 60 + 20, 150), 6 * 60 + 30), 19 * 60 + 30)
    second = random.randint(0, 59)
    return datetime.combine(day, time(), UTC) + timedelta(minutes=int(minute), seconds=second)


def _result(random: Random, method: str, machine: Machine, day: date) -> float:
    spread, limits = SPREADS[method], METHODS[method]
    season = 1.0 + spread.season * math.sin(2 * math.pi * day.timetuple().tm_yday / 365)
    value = _drawn(random, spread) * season * _drift(machine, day)
    if random.random() < OUTLIER_RATE:
        value *= random.choice((0.4, 1.6)) if method == "ph" else random.uniform(15, 60)
    return round(min(max(value, limits.low), limits.high), spread.digits)


def _drawn(random: Random, spread: Spread) -> float:
    if spread.skewed:
        return random.lognormvariate(math.log(spread.centre), spread.width)
    return random.gauss(spread.centre, spread.width)


def _drift(machine: Machine, day: date) -> float:
    # Each machine is recalibrated on its own quarter day and reads higher until then.
    age = (day - machine.commissioned_on).days % RECALIBRATION_DAYS
    return 1.0 + machine.drift * age / RECALIBRATION_DAYS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.seed", description="Fill a database with plausible analyses.")
    parser.add_argument("--count", type=int, default=50_000, help="analyses to write (default 50000)")
    parser.add_argument("--database", default=settings.database_url(), help="SQLAlchemy URL, or a path for SQLite")
    parser.add_argument("--seed", type=int, default=1, help="another number gives other rows")
    parser.add_argument("--force", action="store_true", help="replace the analyses that are there")
    return parser.parse_args()


def main() -> None:
    """Run the generator from the command line."""
    chosen = _arguments()
    url = chosen.database if "://" in chosen.database else f"sqlite:///{chosen.database}"
    written = fill(url, chosen.count, seed=chosen.seed, force=chosen.force)
    print(f"{written} analyses written." if written else "The database has analyses already; --force replaces them.")


if __name__ == "__main__":
    main()
