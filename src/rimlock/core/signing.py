"""The signing keys of a running process: loaded, reloaded when the journal says so, rotated by age or command.

Threat: processes that start at once with keys of their own; a rotation that other processes do not hear of.
Source: OWASP ASVS 5.0 V11.1.1.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rimlock.core import keyring
from rimlock.core.errors import ConfigurationError
from rimlock.core.keyring import KeyRing

if TYPE_CHECKING:
    from rimlock.core.clock import Clock
    from rimlock.core.database import Database
    from rimlock.core.keyring import StoredKey
    from rimlock.crypto.secret import RootSecret

__all__ = ["Signing"]


@dataclass(slots=True, kw_only=True)
class Signing:
    """Keys of one algorithm. `shared`: the HS256 secret, which is kept nowhere. `overlap`, `age` in seconds."""

    database: Database
    root: RootSecret
    clock: Clock
    algorithm: str
    shared: str | None = field(repr=False)
    overlap: int
    age: int
    ring: KeyRing = field(default_factory=KeyRing)
    _known: bool = False

    async def open(self) -> None:
        """Make the first key where there is none. Raises Unavailable, ConfigurationError."""
        if self.shared is not None:
            self.ring = keyring.shared_ring(self.shared)
            return
        now = int(self.clock())
        if not await self.database.read(lambda tx: keyring.has_key(tx, self.algorithm, now=now)):
            key = await asyncio.to_thread(keyring.new_key, self.algorithm)
            await self.database.write(lambda tx: keyring.ensure(tx, self.root, key, now=now))

    async def reload(self) -> bool:
        """Read the keys again; say whether they are others than before. Raises SealBroken, Unavailable."""
        before, self.ring = self.ring, await self._read()
        known, self._known = self._known, True
        return not known or [_stamp(stored) for stored in before.keys] != [_stamp(stored) for stored in self.ring.keys]

    async def _read(self) -> KeyRing:
        if self.shared is not None:
            return self.ring
        return await self.database.read(lambda tx: keyring.load(tx, self.root))

    async def rotate(self, *, lead: int) -> str:
        """Make the next key; it signs after `lead` seconds, tokens of the old ones stay good. Return its kid."""
        if self.shared is not None:
            raise ConfigurationError("the HS256 key is JWT_SECRET; change it there")
        key = await asyncio.to_thread(keyring.new_key, self.algorithm)
        now = int(self.clock())
        return await self.database.write(
            lambda tx: keyring.rotate(tx, self.root, key, now=now, lead=lead, overlap=self.overlap)
        )

    def due(self) -> bool:
        """Say whether the newest key is old enough to be followed by another."""
        newest = max((stored.signs_from for stored in self.ring.keys), default=None)
        return self.shared is None and newest is not None and newest <= self.clock() - self.age


def _stamp(stored: StoredKey) -> tuple[str, int, int | None]:
    return stored.kid, stored.signs_from, stored.verifies_until
