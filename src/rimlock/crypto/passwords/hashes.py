"""Passwords to stored strings and back to a verdict.

Threat: a stolen table of hashes; an unknown account told from a wrong password by its time; an old, weak hash kept
    for ever.
Source: NIST SP 800-63B-4 section 3.1.1.2; RFC 9106; OWASP ASVS 5.0 V11.4.2.

A stored string of ours is the tag `nfc1`, which names the normalisation, followed by the usual argon2 string:
`nfc1$argon2id$v=19$m=19456,t=2,p=1$<salt>$<digest>`. Everything without the tag comes from another system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from rimlock.crypto.passwords import argon, foreign
from rimlock.crypto.passwords.encoding import as_nfc

__all__ = ["PasswordHasher", "PasswordHashes", "Verified", "kind_of", "untagged"]

_TAG: Final = "nfc1"


@dataclass(frozen=True, slots=True)
class Verified:
    """The password is the right one. `upgrade`: store a new hash of it now, the kept one is not today's form."""

    upgrade: bool


class PasswordHasher(Protocol):
    """What Rimlock asks of password hashing. A host that hashes its own way passes an object with these three."""

    def hash(self, password: str) -> str:
        """Return the string to store. Raises `PasswordUnusable` for a text that can't be a password."""
        ...

    def verify(self, stored: str, password: str) -> Verified:
        """Return for the right password. Raises `PasswordMismatch`, `HashUnreadable`, `PasswordUnusable`."""
        ...

    def dummy(self) -> str:
        """Return a stored form of today's cost that no password matches, for accounts that don't exist."""
        ...


@dataclass(frozen=True, slots=True)
class PasswordHashes:
    """Argon2id for what is stored from now on; verifiers for what other systems stored before."""

    cost: argon.Argon2Cost = argon.DEFAULT

    def hash(self, password: str) -> str:
        """Hash with argon2id at this cost. Raises `PasswordTooLong`, `PasswordUnencodable`."""
        return f"{_TAG}{argon.compute(as_nfc(password), self.cost)}"

    def verify(self, stored: str, password: str) -> Verified:
        """Return for the right password, and say whether to store a new hash of it.

        Raises `PasswordMismatch`, `HashUnreadable`, `PasswordTooLong`, `PasswordUnencodable`, `VerifierMissing`.
        """
        if not stored.startswith(_TAG):
            foreign.require_match(stored, password)
            return Verified(upgrade=True)
        kept = argon.read(stored.removeprefix(_TAG))
        argon.require_match(kept, as_nfc(password))
        return Verified(upgrade=not kept.made_with(self.cost))

    def dummy(self) -> str:
        """Return a string that takes `verify` as long as a hash of ours and matches nothing. Costs no hashing."""
        return f"{_TAG}{argon.unmatchable(self.cost)}"


def kind_of(stored: str) -> str | None:
    """Return what kind of hash a stored string is, `rimlock` for our own; None for one that `verify` cannot read."""
    if stored.startswith(_TAG):
        return "rimlock"
    return foreign.kind_of(stored)


def untagged(stored: str) -> str:
    """Return a hash as other systems read it. They normalise nothing; what is typed mostly is in NFC already."""
    return stored.removeprefix(_TAG)
