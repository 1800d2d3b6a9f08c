"""What one run has at hand: its folder, how long it may take, and the databases it found."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from parts import ladder, postgres, valkey  # noqa: E402 - the path is set above

__all__ = ["ROOT", "Workspace", "workspace"]


@dataclass(slots=True)
class Workspace:
    """`quick`: fewer rounds and smaller tables. The addresses are empty where there is no such server."""

    folder: Path
    quick: bool
    postgres: str = ""
    redis: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    _made: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What every server under test gets."""
        return {"BENCH_LOGS": str(self.folder)}

    def rounds(self, full: int, quick: int) -> int:
        """How many rounds this run can afford."""
        return quick if self.quick else full

    def sqlite(self) -> str:
        """Return the URL of a new SQLite file."""
        self._made += 1
        return f"sqlite:///{self.folder / f'bench{self._made}.db'}"

    @contextlib.contextmanager
    def database(self, kind: str) -> Iterator[str]:
        """Yield the URL of a new database of this kind, dropped afterwards."""
        if kind == "sqlite":
            yield self.sqlite()
        else:
            yield from postgres.Databases(self.postgres).fresh()

    def headers(self, lines: list[str]) -> Path:
        """Write header lines to a file, for the load."""
        self._made += 1
        path = self.folder / f"headers{self._made}.txt"
        path.write_text("\n".join(lines))
        return path


@contextlib.contextmanager
def workspace(*, quick: bool) -> Iterator[Workspace]:
    """Make a folder, look for PostgreSQL and Redis, and put everything away afterwards."""
    with tempfile.TemporaryDirectory(prefix="rimlock-bench-") as name, contextlib.ExitStack() as cleanup:
        folder = Path(name)
        folder.chmod(0o755)
        made = Workspace(folder, quick)
        made.postgres = _part(made, "postgres", postgres.RUNGS, cleanup)
        made.redis = _part(made, "redis", valkey.RUNGS, cleanup)
        if made.postgres and made.versions["postgres"].endswith("ours"):
            asyncio.run(_durable(made.postgres))
        yield made


def _part(made: Workspace, name: str, rungs: tuple[ladder.Rung, ...], cleanup: contextlib.ExitStack) -> str:
    home = made.folder / name
    home.mkdir()
    part = ladder.climb(name, rungs, home)
    if not part.url:
        print(f"!! SKIPPED everything on {name}: {'; '.join(part.tried)}", flush=True)
        return ""
    cleanup.callback(ladder.stop, part)
    made.versions[name] = f"{part.version}, {'ours' if part.pid else 'given'}"
    return part.url


async def _durable(url: str) -> None:
    """Make our server keep what it commits, as one in production does: tests are served by one that does not."""
    import asyncpg

    connection = await asyncpg.connect(url)
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        await connection.execute(f"ALTER SYSTEM SET {name} = on")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
