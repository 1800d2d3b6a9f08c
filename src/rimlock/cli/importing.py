"""`rimlock import`: accounts from other systems, looked at first, taken over, taken back.

Threat: an import nobody has read before it happens; an address with a password on a command line; a report that
    repeats addresses or hashes.
Source: design section 1.4 (every change can be undone); OWASP ASVS 5.0 V14.2.4.

Nothing is written without --apply. Exit codes: 0 done, 1 refused, failed, or rows are left; 2 usage.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Application, Config, Json, group, on_installation
from rimlock.cli.showing import plain, show_json
from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.importers import Choice, Report, Undone, Wanted
    from rimlock.importers.records import Unfit

app = group("Take over accounts, or keys, from another system; nothing is written without --apply.")

VARIABLE = "RIMLOCK_IMPORT_SOURCE"
SHOWN_ROWS, TOLD_EVERY = 20, 10_000
WRITTEN = "nothing is written yet; run this again with --apply"

Place = Annotated[
    str | None, typer.Argument(metavar="SOURCE", help=f"The source's address; else {VARIABLE}.", show_default=False)
]
Apply = Annotated[bool, typer.Option("--apply", help="Write what the report says.")]
Undo = Annotated[bool, typer.Option("--undo", help="Take back what this source brought.")]
Force = Annotated[bool, typer.Option("--force", help="With --undo: also accounts that were used since.")]
As = Annotated[str | None, typer.Option("--as", help="What the source is called here; else its kind.")]
KeepIds = Annotated[bool, typer.Option("--keep-ids", help="Accounts get the ids they have there.")]
Link = Annotated[bool, typer.Option("--link", help="An address that is here and proven on both sides is one person.")]
Role = Annotated[list[str] | None, typer.Option("--role", help="A role there and one here: superuser=admin. Several.")]
Table = Annotated[list[str] | None, typer.Option("--table", help="A table that is called otherwise: user=members.")]
Column = Annotated[list[str] | None, typer.Option("--column", help="A column called otherwise: user.email=mail.")]
Field = Annotated[list[str] | None, typer.Option("--field", help="A profile field and its column: bio=about_me.")]
Issuer = Annotated[list[str] | None, typer.Option("--issuer", help="A provider's issuer: okta=https://….")]
AssumeVerified = Annotated[bool, typer.Option("--assume-verified", help="The source proved every address.")]
WithoutFactor = Annotated[
    bool, typer.Option("--without-second-factor", help="Take people over whose second factor stays behind.")
]
Batch = Annotated[int, typer.Option(min=1, max=1_000, help="People in one transaction.")]
Refusals = Annotated[Path | None, typer.Option("--refusals", help="Write every refused row into this file, as JSON.")]


def _kind(kind: str, purpose: str) -> Callable[..., None]:
    """Return the command for one kind of source."""

    def command(
        source: Place = None,
        *,
        apply: Apply = False,
        undo: Undo = False,
        force: Force = False,
        name: As = None,
        keep_ids: KeepIds = False,
        link: Link = False,
        role: Role = None,
        table: Table = None,
        column: Column = None,
        field: Field = None,
        issuer: Issuer = None,
        assume_verified: AssumeVerified = False,
        without_second_factor: WithoutFactor = False,
        batch: Batch = 250,
        refusals: Refusals = None,
        app: Application = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        called = name or kind
        if undo:
            return _undo(called, config, apply=apply, force=force, as_json=as_json)
        from rimlock.importers import Choice, Wanted

        choice = Choice(
            source=called,
            keep_ids=keep_ids,
            link=link,
            roles=_pairs("--role", role),
            issuers=_pairs("--issuer", issuer),
            assume_verified=assume_verified,
            without_second_factor=without_second_factor,
        )
        wanted = Wanted(_pairs("--table", table), _pairs("--column", column), _pairs("--field", field))
        run = _Run(kind, _place(source), choice, wanted, batch, apply=apply, as_json=as_json)
        return _bring(run, refusals, app, config)

    command.__doc__ = purpose
    return command


class _Run:
    """One import as it was asked for."""

    def __init__(
        self, kind: str, place: str, choice: Choice, wanted: Wanted, batch: int, *, apply: bool, as_json: bool
    ) -> None:
        self.kind, self.place, self.choice, self.wanted, self.batch = kind, place, choice, wanted, batch
        self.apply, self.as_json = apply, as_json

    def work(self, file: IO[str] | None) -> Callable[[Rimlock], Awaitable[Report]]:
        """Return what is to be done with the installation."""

        async def within(auth: Rimlock) -> Report:
            from rimlock.importers import bring, open_origin

            async with open_origin(self.kind, self.place, self.wanted) as origin:
                tell = _telling(file)
                return await bring(auth.context, origin, self.choice, apply=self.apply, batch=self.batch, tell=tell)

        return within


def _bring(run: _Run, refusals: Path | None, app: str | None, config: Path | None) -> None:
    with _opened(refusals) as file:
        report = on_installation(run.work(file), config=config, app=app)
    if run.as_json:
        show_json(_as_json(report))
    else:
        _show(report)
    if not run.apply:
        print(f"rimlock: {WRITTEN}", file=sys.stderr)
    if report.refused:
        print(f"rimlock: {report.refused} rows are not taken over", file=sys.stderr)
        raise typer.Exit(1)


def _undo(name: str, config: Path | None, *, apply: bool, force: bool, as_json: bool) -> None:
    async def within(auth: Rimlock) -> Undone:
        from rimlock.importers import take_back

        return await take_back(auth.context, name, apply=apply, force=force)

    undone = on_installation(within, config=config)
    if as_json:
        show_json(_plainly(undone) | {"rows": [{"row": row, "why": why} for row, why in undone.rows]})
    else:
        counts = {name: getattr(undone, name) for name in ("removed", "unlinked", "gone", "kept")}
        _show_counts(counts)
        _show_rows("kept", undone.rows, undone.kept)
    if not apply:
        print(f"rimlock: {WRITTEN}", file=sys.stderr)
    if undone.kept:
        print(f"rimlock: {undone.kept} accounts are kept", file=sys.stderr)
        raise typer.Exit(1)


@app.command("keys")
def import_keys(
    *,
    table: Annotated[str, typer.Option("--table", help="The table that holds the keys.")],
    column: Annotated[str, typer.Option("--column", help="Its column with the key, or its digest.")],
    source: Place = None,
    sha256: Annotated[bool, typer.Option("--sha256", help="The column holds SHA-256 in hexadecimal.")] = False,
    name_column: Annotated[str | None, typer.Option("--name-column", help="What each key is called.")] = None,
    owner_column: Annotated[str | None, typer.Option("--owner-column", help="The id of each key's account.")] = None,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="What the keys may do; several.")] = None,
    role: Annotated[list[str] | None, typer.Option("--role", help="Of keys without an account; several.")] = None,
    apply: Apply = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take over API keys from a table of the application: in clear, or by their SHA-256. The table is only read."""
    place = _place(source)

    async def within(auth: Rimlock) -> Any:
        from rimlock.retrofit.keys import import_plain_column, import_sha256_column

        take = import_sha256_column if sha256 else import_plain_column
        return await take(
            auth.database,
            place,
            table,
            column,
            name_column=name_column,
            owner_column=owner_column,
            scopes=frozenset(scope or ()),
            roles=frozenset(role or ()),
            clock=auth.context.clock,
            dry_run=not apply,
        )

    found = on_installation(within, config=config)
    _show_keys(found, as_json=as_json)
    if not apply:
        print(f"rimlock: {WRITTEN}", file=sys.stderr)


def _show_keys(found: Any, *, as_json: bool) -> None:
    skipped = [(name, why) for name, why in found.skipped]
    if as_json:
        return show_json(asdict(found) | {"skipped": [{"key": name, "why": why} for name, why in skipped]})
    _show_counts({"read": found.read, "added": found.added, "known": found.known, "weak": len(found.weak)})
    _show_rows("weak", [(name, "replace_soon") for name in found.weak], len(found.weak))
    return _show_rows("skipped", skipped, len(skipped))


def _place(source: str | None) -> str:
    place = source or os.environ.get(VARIABLE)
    if not place:
        raise ConfigurationError(
            f"name the source, or set {VARIABLE} to its address, which keeps a password out of sight"
        )
    return place


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """Read `a=b`, several times. A role of Django's may hold `=` itself, ours may not: the last one parts them."""
    found: dict[str, str] = {}
    for one in given or ():
        left, parted, right = one.rpartition("=") if option == "--role" else one.partition("=")
        if not (left and parted and right):
            raise ConfigurationError(f"{option} is written {option} there=here, like {_EXAMPLES[option]}")
        found[left] = right
    return found


_EXAMPLES = {
    "--role": "superuser=admin",
    "--table": "user=members",
    "--column": "user.email=mail",
    "--field": "bio=about_me",
    "--issuer": "okta=https://example.okta.com",
}


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file


def _telling(file: IO[str] | None) -> Callable[[Report, Sequence[Unfit]], None]:
    """Write down who was refused, and say now and then how far it is."""
    told = 0

    def tell(report: Report, refused: Sequence[Unfit]) -> None:
        nonlocal told
        for one in refused if file is not None else ():
            print(json.dumps(asdict(one)), file=file)
        if report.read - told >= TOLD_EVERY:
            told = report.read
            print(f"{report.read} rows  {report.new} new  {report.refused} refused", file=sys.stderr, flush=True)

    return tell


def _as_json(report: Report) -> dict[str, Any]:
    return _plainly(report) | {
        "refusals": [asdict(one) for one in report.refusals],
        "invalidate": [asdict(one) for one in report.invalidate],
        "notes": [{"row": row, "note": note} for row, note in report.notes],
    }


def _plainly(told: Report | Undone) -> dict[str, Any]:
    """Return the fields as they are: `asdict` would rebuild the counts, and they cannot be rebuilt so."""
    return {one.name: getattr(told, one.name) for one in fields(told)}


def _show(report: Report) -> None:
    _show_counts({name: getattr(report, name) for name in ("read", "new", "known", "changed", "linked", "refused")})
    _show_counted("belongings", report.belongings)
    _show_counted("hashes", report.hashes)
    _show_counted("roles not given", report.roles_not_given)
    refusals = [
        (one.row, " ".join([one.reason, *(f"also {other}" for other in one.others)])) for one in report.refusals
    ]
    _show_counted("refused because", report.why)
    _show_rows("refused", refusals, report.refused)
    _show_counted("noted", report.noted)
    _show_rows("noted", report.notes, report.noted.total())
    for one in report.invalidate:
        print(f"make worthless there: {plain(one.what)} ({one.rows})")
    if any(kind.endswith(("bcrypt", "bcrypt-sha256")) for kind in report.hashes) and not _has_bcrypt():
        print("rimlock: bcrypt hashes need rimlock[import], which is not installed", file=sys.stderr)


def _has_bcrypt() -> bool:
    from importlib.util import find_spec

    return find_spec("bcrypt") is not None


def _show_counts(counts: Mapping[str, int]) -> None:
    print("  ".join(f"{name} {count}" for name, count in counts.items()))


def _show_counted(what: str, counts: Mapping[str, int]) -> None:
    if counts:
        print(f"{what}: " + ", ".join(f"{plain(name)} {count}" for name, count in sorted(counts.items())))


def _show_rows(what: str, rows: Sequence[tuple[str, str]], count: int) -> None:
    for row, why in rows[:SHOWN_ROWS]:
        print(f"  {what}  row {plain(row)}  {plain(why)}")
    if count > SHOWN_ROWS:
        print(f"  {what}  and {count - SHOWN_ROWS} more")


_PURPOSES = {
    "fastapi-users": "Take over accounts from the tables of FastAPI Users.",
    "fastlaunch": "Take over accounts from the table of FastLaunchAPI, subscriptions with them.",
    "full-stack-template": "Take over accounts from the table of the full-stack FastAPI template.",
    "better-auth": "Take over accounts and API keys from the tables of Better Auth.",
    "django": "Take over accounts from the tables of Django, and of django-allauth where it is there.",
    "jsonl": "Take over accounts from a file with one JSON object on each line.",
}
for _name, _purpose in _PURPOSES.items():
    app.command(_name)(_kind(_name, _purpose))
