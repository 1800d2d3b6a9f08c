"""Which counters an attempt passes: by address, by account, by both, by the device that is known.

Threat: a counter that a second spelling of the name or of the address gets around; one that tells which accounts exist.
Source: OWASP ASVS 5.0 V6.3.1, V6.3.8; NIST SP 800-63B-4 section 3.2.2; RFC 4291 section 2.5.4 (a network has 64 bits);
    RFC 6052 section 2.1 (translated addresses).

Keys are keyed digests: the table says neither who tried nor from where.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from hmac import digest
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from rimlock.core.limits_counting import FOREVER, Bucket, Kind
from rimlock.core.normal import login_key

if TYPE_CHECKING:
    from rimlock.crypto.secret import RootSecret

__all__ = ["LimitRules", "Naming", "place_of"]

_TRANSLATED = IPv6Network("64:ff9b::/96")
MINUTE, HOUR, YEAR = 60, 3600, 365 * 86_400
MAILS = 5
"""How many mails of a kind an address gets within an hour, however often they are asked for."""

UNKNOWN_TOTALS = 1_048_576
"""Totals for logins that no account has: so many, however many logins a stranger makes up.

Names share them, and nobody's success empties them: each begins anew a year after its first failure. Full for ever,
they would tell such names from accounts.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRules:
    """How much is allowed. `rate`: failures within a minute. `lock_after` in a row close for `lock_seconds`.

    `in_all`: failures in a row after which only known devices are let in. `visits`: registrations within an hour.
    `kept_seconds`: after how long without a sign-in every session and every known device is over.
    """

    rate: int
    lock_after: int
    lock_seconds: int
    in_all: int
    visits: int
    kept_seconds: int


def place_of(address: str) -> str:
    """Return what of an address is counted: IPv4 as it is, also inside IPv6; of IPv6 the network of 64 bits.

    Behind a translator every IPv4 address lies in one such network, and all the world would be one place.
    """
    bare = address.strip().removeprefix("[").partition("]")[0].partition("%")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return address.strip().casefold()[:64]
    if isinstance(parsed, IPv6Address):
        inside = IPv4Address(parsed.packed[-4:]) if parsed in _TRANSLATED else parsed.ipv4_mapped
        return str(inside or ip_network((parsed, 64), strict=False))
    return str(parsed)


class Naming:
    """Names the buckets of one installation. Keys of actions are names of actions, never texts of requests."""

    def __init__(self, rules: LimitRules, root: RootSecret) -> None:
        """The newest secret names; a rotation begins all counts anew."""
        self.rules = rules
        self._keys = root.derive_all("limits", 32)

    def stranger(self, address: str, user_id: str | None, login: str) -> tuple[Bucket, ...]:
        """A sign-in from a device that is not known."""
        rules, place = self.rules, self._place(address)
        unknown = self._name(f"login {_folded(login)}")  # also for an account: otherwise the time would tell
        account = unknown if user_id is None else self._account(user_id)
        return (
            self._rate("sign-in", place),
            Bucket(key=f"account@{account}", kind="account", limit=rules.rate, seconds=MINUTE),
            self._lock("pair", f"{account}@{place}"),
            self._unknown_total(unknown) if user_id is None else self._total(account, rules.in_all),
        )

    def device(self, user_id: str, device_id: str) -> tuple[Bucket, ...]:
        """A sign-in from a device the account knows: what others do does not matter, its own failures do."""
        return self._own("device", "device_total", self._account(user_id), self._name(f"device {device_id}"))

    def session(self, user_id: str, session_id: str) -> tuple[Bucket, ...]:
        """Being asked for the password again."""
        return self._own("session", "session_total", self._account(user_id), self._name(f"session {session_id}"))

    def secret(self, action: str, address: str) -> tuple[Bucket, ...]:
        """Presenting a link or a code. `action`: its name, one of ours."""
        return (self._rate(action, self._place(address)),)

    def visit(self, action: str, address: str) -> tuple[Bucket, ...]:
        """Something that costs, and that everybody may do now and then."""
        place, visits = self._place(address), self.rules.visits
        every = Bucket(key=f"{action}/all@{place}", kind="visits", limit=visits, seconds=HOUR, each=True)
        return (self._rate(action, place), every)

    def mailbox(self, action: str, email_key: str) -> tuple[Bucket, ...]:
        """What is mailed to one address because somebody asked for it, whoever that was."""
        key = f"{action}/mail@{self._name(f'mailbox {email_key}')}"
        return (Bucket(key=key, kind="visits", limit=MAILS, seconds=HOUR, each=True),)

    def accounts(self, user_id: str) -> tuple[str, ...]:
        """Return the account as it stands in keys, under each of the secrets."""
        return tuple(_named(key, f"user {user_id}") for key in self._keys)

    def _own(self, lock: Kind, total: Kind, account: str, name: str) -> tuple[Bucket, ...]:
        return (
            self._lock(lock, f"{account}@{name}"),
            Bucket(
                key=f"{total}@{account}@{name}",
                kind=total,
                limit=self.rules.in_all,
                seconds=self.rules.kept_seconds,
                cleared=True,
            ),
            self._total(account, None),
        )

    def _rate(self, action: str, place: str) -> Bucket:
        return Bucket(key=f"{action}@{place}", kind="address", limit=self.rules.rate, seconds=MINUTE)

    def _lock(self, kind: Kind, rest: str) -> Bucket:
        limit, seconds = self.rules.lock_after, self.rules.lock_seconds
        return Bucket(key=f"{kind}@{rest}", kind=kind, limit=limit, seconds=seconds, cleared=True)

    @staticmethod
    def _total(account: str, limit: int | None) -> Bucket:
        return Bucket(key=f"total@{account}", kind="total", limit=limit, seconds=FOREVER, cleared=True)

    def _unknown_total(self, name: str) -> Bucket:
        key = f"total@slot{int(name, 16) % UNKNOWN_TOTALS}"
        return Bucket(key=key, kind="total", limit=self.rules.in_all, seconds=YEAR, each=True)

    def _place(self, address: str) -> str:
        return self._name(f"address {place_of(address)}")

    def _account(self, user_id: str) -> str:
        return self._name(f"user {user_id}")

    def _name(self, text: str) -> str:
        return _named(self._keys[0], text)


def _named(key: bytes, text: str) -> str:
    return digest(key, text.encode("utf-8", "surrogatepass"), "sha256")[:16].hex()


def _folded(login: str) -> str:
    """One spelling of what no account signs in with, for those who try it in many."""
    bare = unicodedata.normalize("NFKC", login).strip()
    known = login_key(bare)
    return known[1] if known else bare.casefold()
