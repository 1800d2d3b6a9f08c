"""Gives the rows of a host's tables an owner, on a live database, with a complete way back."""

from __future__ import annotations

from rimlock.retrofit.ownership.applying import Applied, apply
from rimlock.retrofit.ownership.backfilling import Filled, backfill
from rimlock.retrofit.ownership.finishing import Finished, finish
from rimlock.retrofit.ownership.host import open_host
from rimlock.retrofit.ownership.planfile import FILE_NAME, Plan, load_plan, read_plan
from rimlock.retrofit.ownership.planning import Planned, plan
from rimlock.retrofit.ownership.proposing import propose
from rimlock.retrofit.ownership.retrofitting import Retrofit, retrofit_on, standing
from rimlock.retrofit.ownership.rolling_back import RolledBack, rollback
from rimlock.retrofit.ownership.surveying import host_tables
from rimlock.retrofit.ownership.verifying import Verified, verify

__all__ = [
    "FILE_NAME",
    "Applied",
    "Filled",
    "Finished",
    "Plan",
    "Planned",
    "Retrofit",
    "RolledBack",
    "Verified",
    "apply",
    "backfill",
    "finish",
    "host_tables",
    "load_plan",
    "open_host",
    "plan",
    "propose",
    "read_plan",
    "retrofit_on",
    "rollback",
    "standing",
    "verify",
]
