"""One audit from beginning to end: what was asked for, what came out, and how each of it is shown.

Threat: a check in a pipeline that needs, or changes, the database of the installation it checks.
Source: design section 5; OWASP ASVS 5.0 V8.1.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.audit.callers import last_callers
from rimlock.retrofit.audit.claims import claim_of, shares_in_words
from rimlock.retrofit.audit.inside import words_of
from rimlock.retrofit.audit.inventory import Inventory, take_inventory
from rimlock.retrofit.audit.judging import Remark, compared, standing_remarks
from rimlock.retrofit.audit.lock import claims_of, read_lock, write_lock
from rimlock.retrofit.audit.page import page
from rimlock.retrofit.audit.probing import ProbeReport, probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock import Rimlock
    from rimlock.core.access import Requirement
    from rimlock.retrofit.audit.callers import Caller
    from rimlock.retrofit.audit.inventory import AuditedRoute

__all__ = ["Asked", "Report", "audit", "listed", "shown_report", "shown_route", "summed_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted of an audit. `name`: of the application, for the page. `lock`: the lock file.

    `running`: judge by the changes at run time as well. `through`: send safe requests through the whole application.
    """

    name: str
    lock: Path = Path("routes.lock")
    check: bool = False
    write: bool = False
    strict: bool = False
    running: bool = False
    probe: bool = False
    through: bool = False
    html: Path | None = None

    @property
    def offline(self) -> bool:
        """Whether configuration alone answers: then the database is not opened."""
        return (self.check or self.write) and not (self.running or self.probe or self.through or self.html)


@dataclass(slots=True)
class Report:
    """What came out. `judged`: the routes were held to something. `wrote`: files, and what is in them."""

    inventory: Inventory
    remarks: list[Remark] = field(default_factory=list)
    wrote: list[str] = field(default_factory=list)
    probed: ProbeReport | None = None
    judged: bool = False

    @property
    def failed(self) -> int:
        """How many remarks fail the check."""
        return sum(remark.fails for remark in self.remarks)


async def audit(app: Any, auth: Rimlock, asked: Asked) -> Report:
    """Do what is asked. Raises ConfigurationError, and what starting raises where a database is needed."""
    if asked.offline:
        return _settled(Report(take_inventory(auth)), auth, asked)
    async with _started(app, auth, asked):
        report = Report(take_inventory(auth, await last_callers(auth.database, auth.context.now())))
        if asked.probe or asked.through:
            report.probed = await probe(auth, report.inventory, through=app if asked.through else None)
            report.remarks += report.probed.remarks
        return _settled(report, auth, asked)


def shown_route(route: AuditedRoute) -> dict[str, Any]:
    """Return a route as it is shown."""
    ruling = route.ruling
    return {
        "route": route.name,
        "method": route.method,
        "path": route.path,
        "ours": route.ours,
        "stage": ruling.stage.value,
        "shares": dict(claim_of(route, running=True).shares),
        "stage_source": ruling.stage_source,
        "stage_origin": route.stage_origin,
        "stated": ruling.stated,
        "until": _time(ruling.until),
        "requirement": _shown_requirement(ruling.requirement),
        "requirement_source": ruling.requirement_source,
        "requirement_origin": route.demand_origin,
        "configured_stage": route.configured.stage.value,
        "source": {"file": route.place.file, "line": route.place.line, "name": route.place.name},
        "function": {
            "demands": list(route.inside.demands),
            "optional": route.inside.optional,
            "checks": list(route.inside.checks),
            "adopted": list(route.inside.adopted),
        },
        "shadowed_by": route.shadowed_by,
        "callers": [_shown_caller(caller) for caller in route.callers],
    }


def shown_report(report: Report) -> dict[str, Any]:
    """Return everything as JSON has it."""
    shown: dict[str, Any] = {
        "well": report.failed == 0,
        "default": report.inventory.default.value,
        "remarks": [asdict(remark) for remark in report.remarks],
        "items": [shown_route(route) for route in report.inventory.routes],
    }
    if report.probed is not None:
        answers = [{**asdict(answer), "refused": answer.refused} for answer in report.probed.answers]
        shown["probe"] = {"answers": answers, "unasked": report.probed.unasked}
    return shown


@asynccontextmanager
async def _started(app: Any, auth: Rimlock, asked: Asked) -> AsyncIterator[None]:
    """Start the installation; the host too, where its functions are to answer."""
    if asked.through:
        async with app.router.lifespan_context(app):
            yield
        return
    try:
        await auth.start()
        yield
    finally:
        await auth.stop()


def _settled(report: Report, auth: Rimlock, asked: Asked) -> Report:
    """Compare with the lock file, and write what is to be written."""
    now = auth.context.now()
    report.judged = asked.check or asked.probe or asked.through or asked.html is not None
    if asked.write:
        claims = claims_of(report.inventory.routes, running=asked.running)
        _write(asked.lock, write_lock(claims))
        report.wrote.append(f"{len(claims)} routes to {asked.lock}")
    if asked.check or asked.html is not None:
        report.remarks += standing_remarks(report.inventory, now, running=asked.running or not asked.check)
    if asked.check:
        locked = read_lock(asked.lock)
        report.remarks += compared(report.inventory, locked, running=asked.running, strict=asked.strict)
    if asked.html is not None:
        text = page(asked.name, report.inventory, report.remarks, now=now, note=_probed_in_words(report))
        _write(asked.html, text)
        report.wrote.append(f"the page {asked.html}")
    return report


def _write(place: Path, text: str) -> None:
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{place} cannot be written: {error.strerror}") from None


def _probed_in_words(report: Report) -> str:
    if report.probed is None:
        return "nothing was probed"
    against = len(report.probed.remarks)
    return f"probed with {len(report.probed.answers)} requests, {against or 'none'} of them against the rules"


def _shown_requirement(demand: Requirement) -> dict[str, Any]:
    return {
        "credentials": sorted(demand.credentials),
        "roles": sorted(demand.any_role),
        "permissions": sorted(demand.permissions),
        "scopes": sorted(demand.scopes),
        "fresh": demand.fresh,
    }


def _shown_caller(caller: Caller) -> dict[str, Any]:
    return {**asdict(caller), "last_seen": _time(caller.last_seen)}


def listed(report: Report) -> list[dict[str, str]]:
    """Return a line for each route, for a terminal."""
    return [
        {
            "route": route.name,
            "stage": shares_in_words(claim_of(route, running=True).shares),
            "demands": ", ".join(_demands(route)),
            "rule": route.stage_origin,
            "function": str(route.place),
            "last_seen": _callers_in_words(route.callers),
        }
        for route in report.inventory.routes
    ]


def summed_up(report: Report) -> str:
    """Return what was done and what came of it, in one line."""
    parts = [f"wrote {one}" for one in report.wrote]
    if report.probed is not None:
        parts.append(_probed_in_words(report))
    if report.judged:
        notes = len(report.remarks) - report.failed
        parts.append(f"{len(report.inventory.hosts)} routes, {report.failed} to mend, {notes} to know")
    return "; ".join(parts)


def _demands(route: AuditedRoute) -> list[str]:
    """Return what a route asks for by its rule, and what its function asks for by itself."""
    words = words_of(route.ruling.requirement)
    return words if route.ours else [*words, *(f"function: {demand}" for demand in route.inside.demands)]


def _callers_in_words(callers: Sequence[Caller]) -> str:
    return ", ".join(f"{one.label or one.credential} {(_time(one.last_seen) or '')[:10]}" for one in callers)


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
