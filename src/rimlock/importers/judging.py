"""What becomes of one person: taken over, known, brought along, linked, or refused.

Threat: an account taken over by whoever made one of the same address elsewhere (pre-hijacking); two people merged.
Source: OWASP ASVS 5.0 V6.8.1; design section 3 (judgement is pure).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from rimlock.importers.fitting import Choice, Fit
    from rimlock.importers.standing import Here

__all__ = ["Verdict", "judge", "stored_account", "stored_user"]

Act = Literal["new", "known", "changed", "linked", "refused"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`user_id`: the account that is here already. `reason`: why refused. `changed`: what the source says otherwise."""

    act: Act
    user_id: str = ""
    reason: str = ""
    changed: tuple[str, ...] = ()


def judge(one: Fit, here: Here, choice: Choice) -> Verdict:
    """Say what becomes of this person, given what is here."""
    row = here.imported.get(one.row)
    if row is not None:
        return _known(one, row, here)
    holder = here.emails.get(one.email_key)
    if holder is not None:
        return _meeting(one, holder, here, choice)
    if one.username_key is not None and one.username_key in here.usernames:
        return Verdict("refused", reason="username_known_here")
    if choice.keep_ids and one.row in here.users:
        return Verdict("refused", reason="id_known_here")
    return Verdict("new")


def stored_user(one: Fit) -> dict[str, Any]:
    """Return what the table of users is to say of somebody."""
    names = ("email", "email_key", "username", "username_key", "display_name", "avatar_url")
    return {**{name: getattr(one, name) for name in names}, "profile": dict(one.profile)}


def stored_account(one: Fit) -> dict[str, Any]:
    """Return what the table of accounts is to say of somebody."""
    return {
        "password_hash": one.password_hash,
        "roles": list(one.roles),
        "active": one.active,
        "verified": one.verified,
        "locale": one.locale,
    }


def _known(one: Fit, row: RowMapping, here: Here) -> Verdict:
    """Follow the source while nobody used the account here; afterwards what is here is newer."""
    user, account = here.users.get(row["user_id"]), here.accounts.get(row["user_id"])
    if user is None or account is None or not row["made"] or row["user_id"] in here.used:
        return Verdict("known", row["user_id"])
    changed = _differing(stored_user(one), user) + _differing(stored_account(one), account)
    if not changed:
        return Verdict("known", row["user_id"])
    if _taken(here.emails, one.email_key, row["user_id"]):
        return Verdict("refused", row["user_id"], "email_known_here")
    if one.username_key is not None and _taken(here.usernames, one.username_key, row["user_id"]):
        return Verdict("refused", row["user_id"], "username_known_here")
    return Verdict("changed", row["user_id"], changed=tuple(name for name in changed if not name.endswith("_key")))


def _meeting(one: Fit, holder: str, here: Here, choice: Choice) -> Verdict:
    """Judge an address that is here already. Only a proof on both sides says that it is the same person."""
    account = here.accounts.get(holder)
    if holder in here.brought:
        return Verdict("refused", holder, "email_repeated")
    if not choice.link:
        return Verdict("refused", holder, "email_known_here")
    if account is None or not account["verified"] or not one.verified:
        return Verdict("refused", holder, "email_not_proven_on_both_sides")
    if not account["active"] or not one.active:
        return Verdict("refused", holder, "account_disabled")
    return Verdict("linked", holder)


def _taken(names: dict[str, str], key: str, user_id: str) -> bool:
    return names.get(key, user_id) != user_id


def _differing(wanted: dict[str, Any], row: RowMapping) -> tuple[str, ...]:
    return tuple(name for name, value in wanted.items() if row[name] != value)
