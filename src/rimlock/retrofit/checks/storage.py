"""Our own database: whether it answers, is of this version, tells of revocations, and opens its keys.

Threat: a process that does not hear of revocations; signing keys nobody can open.
Source: design section 4 (a revocation); OWASP ASVS 5.0 V7.4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from rimlock.core.revocations import KEPT_SECONDS
from rimlock.core.schema import journal
from rimlock.retrofit.checks.finding import EXPECTED, Finding, Say

if TYPE_CHECKING:
    from rimlock import Rimlock

__all__ = ["storage"]

SKEW_SECONDS = 60
"""How far the clock of another process may be ahead before it is worth a word."""


async def storage(auth: Rimlock, say: Say) -> tuple[list[Finding], bool]:
    """Reach it, then look at the tables, then at what is in them; each only when the one before is well.

    The second value says whether our tables stand there.
    """
    from rimlock import migrations

    try:
        at = await migrations.current(auth.settings.database)
    except EXPECTED as error:
        why = "nobody can sign in, and no revocation is heard of"
        return [Finding("database", "fail", say(error), why=why, mend="start it, or correct DATABASE_URL")], False
    findings = [Finding("database", "ok", f"{auth.database.dialect} answers")]
    if at is None and auth.settings.create_tables is not False and auth.database.dialect == "sqlite":
        return [*findings, Finding("schema", "ok", "none yet; the first start makes it")], False
    if wrong := migrations.mismatch(at):
        why = "the application does not start on tables of another version"
        return [
            *findings,
            Finding("schema", "fail", say(wrong), why=why, mend="run `rimlock db upgrade`"),
        ], at is not None
    findings.append(Finding("schema", "ok", str(at)))
    checks: dict[str, Callable[[Rimlock], Coroutine[Any, Any, Finding]]] = {
        "follower": _follower,
        "signing keys": _signing,
        "clocks": _clocks,
    }
    findings += [await _tried(name, check(auth), say) for name, check in checks.items()]
    return findings, True


async def _tried(name: str, check: Coroutine[Any, Any, Finding], say: Say) -> Finding:
    try:
        return await check
    except EXPECTED as error:
        return Finding(name, "fail", say(error), why=_CANNOT[name], mend=_MENDS[name])


_CANNOT = {
    "follower": "revoked tokens go on working in processes that do not hear of it",
    "signing keys": "no token can be signed, and those that are out cannot be verified",
    "clocks": "what expires when cannot be told",
}
_MENDS = {
    "follower": "see whether the database answers in time, and whether its tables may be read",
    "signing keys": "put the secret they were sealed under into RIMLOCK_SECRETS, behind the present one",
    "clocks": "see whether the database answers in time",
}


async def _follower(auth: Rimlock) -> Finding:
    """Read the journal to its end, as a server does at its start. What a running one has read is asked of itself."""
    follower = auth.context.follower
    try:
        await follower.start()
        read, ended = auth.context.revocations.position, len(auth.context.revocations.sessions)
    finally:
        await follower.stop()
    return Finding("follower", "ok", f"can read the journal, to line {read}; {ended} ended sessions in memory")


async def _clocks(auth: Rimlock) -> Finding:
    """Compare this clock with those of the processes that wrote the journal."""
    last = await auth.database.read(lambda tx: tx.value(select(func.coalesce(func.max(journal.c.expires_at), 0))))
    ahead = last - KEPT_SECONDS - auth.context.now()
    if ahead > SKEW_SECONDS:
        return Finding(
            "clocks",
            "warn",
            f"the journal was written {ahead} s in the future",
            why="tokens are refused as not valid yet, or live longer than they were to",
            mend="let every machine take the time from the same source",
        )
    return Finding("clocks", "ok", "those who wrote the journal and this one agree")


async def _signing(auth: Rimlock) -> Finding:
    from rimlock.core import keyring

    if auth.settings.algorithm == "HS256":
        return Finding("signing keys", "ok", "HS256 by JWT_SECRET")
    ring = await auth.database.read(lambda tx: keyring.load(tx, auth.context.root))
    if not ring.keys:
        return Finding("signing keys", "ok", "none yet; the first start makes one")
    signer = ring.signer(auth.context.now()).kid
    return Finding("signing keys", "ok", f"{len(ring.keys)} open under the present secret, {signer} signs")
