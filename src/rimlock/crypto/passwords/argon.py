"""Argon2: what a hash costs, how one is written, read and matched.

Threat: a stolen table of hashes; a stored hash whose parameters eat the machine.
Source: RFC 9106 sections 3 and 4; OWASP ASVS 5.0 appendix C (t=1 with 46 MiB, t=2 with 19 MiB, t=3 with 12 MiB).
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from os import urandom
from typing import Final, Literal

from rimlock.crypto.passwords.errors import HashUnreadable
from rimlock.crypto.passwords.stored import from_base64, require_equal

__all__ = [
    "ASVS_46_MIB",
    "CHEAPEST_FOR_TESTS",
    "DEFAULT",
    "RFC_9106_LOW_MEMORY",
    "Argon2Cost",
    "Argon2Hash",
    "compute",
    "read",
    "require_match",
    "unmatchable",
]

MOST_MEMORY_KIB: Final = 262_144
MOST_PASSES: Final = 16
MOST_LANES: Final = 16
_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_ADEQUATE: Final = ((1, 47_104), (2, 19_456), (3, 12_288))


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one hash takes: passes over the memory, KiB of memory, lanes computed side by side.

    Raises `ValueError` outside RFC 9106's minimum and our maximum (256 MiB, 16 passes, 16 lanes), which also bounds
    what is read from a store.
    """

    passes: int
    memory_kib: int
    lanes: int = 1

    def __post_init__(self) -> None:
        """Refuse what the scheme or the machine can't bear."""
        if not (1 <= self.passes <= MOST_PASSES and 1 <= self.lanes <= MOST_LANES):
            raise ValueError("argon2 takes 1 to 16 passes and 1 to 16 lanes")
        if not 8 * self.lanes <= self.memory_kib <= MOST_MEMORY_KIB:
            raise ValueError("argon2 takes at least 8 KiB for each lane and here at most 262,144 KiB")

    @property
    def adequate(self) -> bool:
        """Whether this meets the floor of OWASP ASVS 5.0 appendix C."""
        return any(self.passes >= passes and self.memory_kib >= memory for passes, memory in _ADEQUATE)


DEFAULT: Final = Argon2Cost(passes=2, memory_kib=19_456)
"""About 20 ms and 19 MiB: the floor of ASVS 5.0, chosen so that a full queue of logins fits a small machine."""

ASVS_46_MIB: Final = Argon2Cost(passes=1, memory_kib=47_104)
"""About 50 ms and 46 MiB."""

RFC_9106_LOW_MEMORY: Final = Argon2Cost(passes=3, memory_kib=65_536, lanes=4)
"""RFC 9106 section 4, second recommended option: about 160 ms of processor time and 64 MiB."""

CHEAPEST_FOR_TESTS: Final = Argon2Cost(passes=1, memory_kib=8)
"""The least the scheme allows. It protects nothing."""


@dataclass(frozen=True, slots=True)
class Argon2Hash:
    """A stored hash, taken apart. `variant` is the letter pair of the name, `version` the number after `v=`."""

    variant: Literal["id", "i", "d"]
    version: int
    cost: Argon2Cost
    salt: bytes
    digest: bytes

    def __str__(self) -> str:
        """Write the string form every argon2 library reads."""
        numbers = f"m={self.cost.memory_kib},t={self.cost.passes},p={self.cost.lanes}"
        return f"$argon2{self.variant}$v={self.version}${numbers}${_digits(self.salt)}${_digits(self.digest)}"

    def made_with(self, cost: Argon2Cost) -> bool:
        """Whether `compute` at this cost would choose the same shape today."""
        ours = (self.variant, self.version, self.cost, len(self.salt), len(self.digest))
        return ours == ("id", 19, cost, _SALT_BYTES, _DIGEST_BYTES)


_FORM: Final = re.compile(
    r"\$argon2(?P<variant>id|i|d)\$v=(?P<version>16|19)"
    r"\$m=(?P<memory>[1-9][0-9]{0,8}),t=(?P<passes>[1-9][0-9]{0,3}),p=(?P<lanes>[1-9][0-9]{0,3})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<digest>[A-Za-z0-9+/]{22,86})"
)


def compute(password: bytes, cost: Argon2Cost) -> Argon2Hash:
    """Hash with argon2id and a fresh 16-byte salt."""
    salt = urandom(_SALT_BYTES)
    return Argon2Hash("id", 19, cost, salt, _digest(password, salt, "id", 19, cost, _DIGEST_BYTES))


def unmatchable(cost: Argon2Cost) -> Argon2Hash:
    """Return a hash of nothing: it takes as long to check as a real one, and no password is known to match it."""
    return Argon2Hash("id", 19, cost, urandom(_SALT_BYTES), urandom(_DIGEST_BYTES))


def read(stored: str) -> Argon2Hash:
    """Take a stored string apart. Raises `HashUnreadable`, also for a cost above the limits."""
    found = _FORM.fullmatch(stored)
    if found is None:
        raise HashUnreadable
    try:
        cost = Argon2Cost(int(found["passes"]), int(found["memory"]), int(found["lanes"]))
    except ValueError:
        raise HashUnreadable from None
    variant = _VARIANTS[found["variant"]]
    return Argon2Hash(variant, int(found["version"]), cost, from_base64(found["salt"]), from_base64(found["digest"]))


def require_match(stored: Argon2Hash, password: bytes) -> None:
    """Compute again and compare. Raises `PasswordMismatch`."""
    size = len(stored.digest)
    computed = _digest(password, stored.salt, stored.variant, stored.version, stored.cost, size)
    require_equal(computed, stored.digest)


_VARIANTS: Final[dict[str, Literal["id", "i", "d"]]] = {"id": "id", "i": "i", "d": "d"}


def _digest(password: bytes, salt: bytes, variant: str, version: int, cost: Argon2Cost, size: int) -> bytes:
    # Imported here: an application that never hashes shall not pay for the library at start.
    from argon2.low_level import Type, hash_secret_raw

    kind = {"id": Type.ID, "i": Type.I, "d": Type.D}[variant]
    return hash_secret_raw(password, salt, cost.passes, cost.memory_kib, cost.lanes, size, kind, version)


def _digits(data: bytes) -> str:
    return b64encode(data).rstrip(b"=").decode()
