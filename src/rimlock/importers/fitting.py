"""From a record to what is stored here: normal forms, roles by the operator's mapping, hashes by their kind.

Threat: a role nobody meant to give; a second factor that gets lost; a name stored one way and looked for another.
Source: RFC 8265; OWASP ASVS 5.0 V6.2.12, V8.2.1, V15.3.3.

Pure: a record and the operator's choice in, what fits or why it does not out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rimlock.core.errors import InvalidRequest
from rimlock.core.normal import avatar_form, display_form, email_forms, profile_form, username_forms
from rimlock.crypto.passwords.hashes import kind_of
from rimlock.importers.issuers import ISSUERS
from rimlock.importers.records import Elsewhere, HeldKey, Record, RowUnfit, Unfit

if TYPE_CHECKING:
    from rimlock.importers.twins import Twins

__all__ = ["Choice", "Fit", "fit"]

T = TypeVar("T")
Check = Callable[[Mapping[str, Any]], Any]
LONGEST_ROW, LONGEST_ID, LONGEST_LOCALE, LONGEST_TEXT = 255, 64, 35, 255
LONGEST_PROVIDER, LONGEST_STATUS, LONGEST_KEY_NAME = 64, 64, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the operator decided. `source`: what this source is called in our tables.

    `keep_ids`: accounts get the ids they have there. `link`: a row whose address is here already leads to that account
    when both sides have proven it. `roles`: ours by theirs; a role that is not named is not given. `issuers`: by the
    name of a provider. `assume_verified`: the source proved every address. `without_second_factor`: people who had one
    are taken over although it stays behind.
    """

    source: str
    keep_ids: bool = False
    link: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)
    issuers: Mapping[str, str] = field(default_factory=dict)
    assume_verified: bool = False
    without_second_factor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A person in our forms. `unmapped`: roles there that give none here. `kind`: that of the hash."""

    record: Record
    email: str = field(repr=False)
    email_key: str = field(repr=False)
    username: str | None = field(repr=False)
    username_key: str | None = field(repr=False)
    display_name: str
    avatar_url: str
    profile: Mapping[str, Any]
    password_hash: str | None = field(repr=False)
    kind: str
    active: bool
    verified: bool
    roles: tuple[str, ...]
    unmapped: tuple[str, ...]
    identities: tuple[Elsewhere, ...]
    keys: tuple[HeldKey, ...]
    locale: str | None
    notes: tuple[str, ...]

    @property
    def row(self) -> str:
        """The id of the source."""
        return self.record.row


def fit(record: Record, choice: Choice, twins: Twins, *, now: int, check: Check = profile_form) -> Fit | Unfit:
    """Return a record in our forms, or why it is not taken over. `check`: raises for a profile the host refuses."""
    try:
        _require_taken(record, choice, twins)
        email, email_key = _email(record.email)
    except RowUnfit as unfit:
        return Unfit(record.row[:LONGEST_ROW], unfit.reason)
    for kind, name in (("email", record.email), ("username", record.username)):
        if others := twins.of(kind, name, record.row):
            return Unfit(record.row, f"{kind}_repeated", others)
    return _fitted(record, choice, (email, email_key), now, check)


def _fitted(record: Record, choice: Choice, email: tuple[str, str], now: int, check: Check) -> Fit:
    notes = list(record.notes)
    no_name: tuple[str | None, str | None] = (None, None)
    username, username_key = _or_note(notes, "username_left_out", _username, record.username, no_name)
    identities = tuple(one for held in record.identities if (one := _identity(held, choice, notes)) is not None)
    kind = "none" if record.password_hash is None else kind_of(record.password_hash) or "unknown"
    if kind == "unknown":
        notes.append("hash_unknown")
    if record.second_factor:
        notes.append("second_factor_left_out")
    return Fit(
        record=record,
        email=email[0],
        email_key=email[1],
        username=username,
        username_key=username_key,
        display_name=_or_note(notes, "display_name_left_out", display_form, record.display_name, ""),
        avatar_url=_or_note(notes, "avatar_left_out", avatar_form, record.avatar_url, ""),
        profile=_or_note(notes, "profile_left_out", lambda held: _profile(held, check), record.profile, {}),
        password_hash=None if kind == "unknown" else record.password_hash,
        kind=kind,
        active=record.active or (record.inactive_until is not None and record.inactive_until <= now),
        verified=record.verified or choice.assume_verified,
        roles=tuple(sorted({choice.roles[name] for name in record.roles if name in choice.roles})),
        unmapped=tuple(sorted(name for name in record.roles if name not in choice.roles)),
        identities=identities,
        keys=tuple(_named(key) for key in record.keys),
        locale=record.locale if record.locale and len(record.locale) <= LONGEST_LOCALE else None,
        notes=tuple(notes),
    )


def _require_taken(record: Record, choice: Choice, twins: Twins) -> None:
    """Raises RowUnfit for who is not taken over whatever else is right."""
    if len(record.row) > LONGEST_ROW or not record.row.isprintable():
        raise RowUnfit("id_unusable")
    if twins.repeats(record.row):
        raise RowUnfit("id_repeated")
    if choice.keep_ids and len(record.row) > LONGEST_ID:
        raise RowUnfit("id_too_long")
    if record.second_factor and not choice.without_second_factor:
        raise RowUnfit("second_factor")


def _email(address: str) -> tuple[str, str]:
    if not address.strip():
        raise RowUnfit("email_missing")
    try:
        return email_forms(address.strip())
    except InvalidRequest:
        raise RowUnfit("email_unusable") from None


def _username(name: str | None) -> tuple[str | None, str | None]:
    return (None, None) if name is None else username_forms(name)


def _profile(held: Mapping[str, Any], check: Check) -> dict[str, Any]:
    """Return the fields, once the application has nothing against them; it is not asked about none."""
    if held:
        check(held)
    return profile_form(held)


def _or_note(notes: list[str], note: str, form: Callable[[Any], T], value: Any, otherwise: T) -> T:
    """Return the form of a value; what has none is left out, and that is said."""
    try:
        return form(value)
    except InvalidRequest:
        notes.append(note)
        return otherwise


def _identity(held: Elsewhere, choice: Choice, notes: list[str]) -> Elsewhere | None:
    issuer = held.issuer or choice.issuers.get(held.provider) or ISSUERS.get(held.provider)
    if issuer is None:
        notes.append("provider_unknown")
        return None
    fits = len(issuer) <= LONGEST_TEXT and 0 < len(held.subject) <= LONGEST_TEXT
    if not fits or not 0 < len(held.provider) <= LONGEST_PROVIDER:
        notes.append("identity_unusable")
        return None
    if not held.verified:
        notes.append("identity_unproven")
    return Elsewhere(
        provider=held.provider, subject=held.subject, issuer=issuer, email=held.email[:320], verified=held.verified
    )


def _named(key: HeldKey) -> HeldKey:
    name = "".join(sign for sign in key.name if sign.isprintable()).strip()[:LONGEST_KEY_NAME]
    return HeldKey(
        digest=key.digest, hint=key.hint, name=name or "imported", scopes=key.scopes, expires_at=key.expires_at
    )
