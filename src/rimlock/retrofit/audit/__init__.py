"""The route audit: the inventory, the lock file, the probe and the page."""

from __future__ import annotations

from rimlock.retrofit.audit.callers import Caller, last_callers
from rimlock.retrofit.audit.inventory import AuditedRoute, Inventory, take_inventory
from rimlock.retrofit.audit.judging import Remark, compared, standing_remarks
from rimlock.retrofit.audit.lock import claims_of, read_lock, write_lock
from rimlock.retrofit.audit.probing import Answer, ProbeReport, probe

__all__ = [
    "Answer",
    "AuditedRoute",
    "Caller",
    "Inventory",
    "ProbeReport",
    "Remark",
    "claims_of",
    "compared",
    "last_callers",
    "probe",
    "read_lock",
    "standing_remarks",
    "take_inventory",
    "write_lock",
]
