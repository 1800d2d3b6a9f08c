"""A report about a key as text for a letter: plain lines, ready to be sent to whoever holds it.

Threat: a stored name that writes lines of its own into a letter; a key shown to whoever reads it.
Source: RFC 5322 section 2.1.1 (lines of at most 78 characters).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rimlock.core.retirements import Phase

if TYPE_CHECKING:
    from rimlock.features.retirement.logic.reporting import KeyReport
    from rimlock.features.retirement.logic.uses import KeyUse

__all__ = ["act", "held_by", "letter"]

WIDTH = 78
MOST_PLACES = 20
LABEL = 13
DAY = 86_400
_PHASES = {
    Phase.ACCEPT: "accepted",
    Phase.DEPRECATED: "deprecated, and accepted for now",
    Phase.BROWNOUT: "refused at the moment, in a brownout",
    Phase.REFUSED: "refused",
}


def letter(report: KeyReport) -> str:
    """Return what to tell the holders of a key, without the key."""
    key = report.key
    lines = [
        f'Key "{plain(key.name)}" ({plain(key.hint)})',
        *_line("id", key.id),
        *_line("held by", held_by(report)),
        *_line("made", f"{day(key.created_at)}, {plain(key.source)}"),
        *_line("state", _state(report)),
        *_line("last used", "never" if key.last_used_at is None else f"{minute(key.last_used_at)} UTC"),
        *_line("used on", _used(report)),
        *(f"{'':{LABEL}}{_place(use)}" for use in report.uses[:MOST_PLACES]),
        *_line("to do", act(report)),
    ]
    return "\n".join(lines)


def held_by(report: KeyReport) -> str:
    """Name who holds the key."""
    if report.key.user_id is None:
        return "a service; no account belongs to it"
    if report.owner is None:
        return f"user {plain(report.key.user_id)}, who has no account any more"
    return plain(report.owner.email)


def act(report: KeyReport) -> str:
    """Say who has to do what by when."""
    key, by = report.key, report.act_by
    who = "Its owner" if report.key.user_id else "Whoever runs the programs above"
    if key.revoked_at is not None:
        return f"Nothing: it was revoked on {day(key.revoked_at)}."
    if not report.leaving and by is None:
        return "Nothing."
    if not report.uses:
        return _unseen(report)
    deed = "changes to the key that replaced it" if key.replaced_by else "changes to another key or a sign-in"
    when = "as soon as possible" if by is None or by <= report.now else f"before {minute(by)} UTC"
    more = f" See {report.said.link}" if report.said is not None and report.said.link else ""
    return f"{who} {deed}, {when}.{more}"


def _unseen(report: KeyReport) -> str:
    """Say what follows from no counted request. A key that was used elsewhere is not called unused."""
    if not report.counted:
        return "Find out who uses it: requests are not counted here."
    last = report.key.last_used_at
    if last is not None and last >= report.now - report.days * DAY:
        return f"Find out who uses it: it was used on {day(last)}, on no route that is counted."
    return f"Nobody used it in {report.days} days; it can be ended."


def _state(report: KeyReport) -> str:
    said, key = report.said, report.key
    parts = ["revoked" if key.revoked_at is not None else _PHASES[report.phase]]
    if said is not None and said.phase is not Phase.ACCEPT and said.deprecated_at is not None:
        parts.append(f"deprecated since {day(said.deprecated_at)}")
        if said.sunset_at is not None:
            parts.append(f"sunset {minute(said.sunset_at)} UTC{'' if said.refuse_after_sunset else ' (announced)'}")
        if said.overdue(report.now):
            parts.append("OVERDUE: still accepted")
    if key.expires_at is not None:
        parts.append(f"ends {minute(key.expires_at)} UTC")
    if key.replaced_by is not None:
        parts.append(f"replaced by {plain(key.replaced_by)}")
    if report.next_window is not None:
        parts.append(f"next brownout {minute(report.next_window)} UTC")
    return "; ".join(parts)


def _used(report: KeyReport) -> str:
    if not report.uses:
        return f"no route in {report.days} days" if report.counted else "not counted"
    first = min(use.first_seen for use in report.uses)
    more = f", the {MOST_PLACES} busiest" if len(report.uses) > MOST_PLACES else ""
    return f"{report.requests} requests since {day(first)}{more}:"


def _place(use: KeyUse) -> str:
    refused = f", {use.refused} in a brownout" if use.refused else ""
    by = f" by {plain(use.client)}" if use.client else ""
    return f"{plain(use.method)} {plain(use.path)}{by}: {use.requests}{refused}, last {day(use.last_seen)}"


def _line(label: str, text: str) -> list[str]:
    """Return a labelled text, broken between words. A long word, like an address, stays whole."""
    lines, current = [], ""
    for word in text.split(" "):
        if current and LABEL + len(current) + 1 + len(word) > WIDTH:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    return [f"{label if number == 0 else '':{LABEL}}{line}" for number, line in enumerate([*lines, current])]


def plain(text: str) -> str:
    """Return a stored text as text of one line."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def day(seconds: int) -> str:
    """Return a date."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def minute(seconds: int) -> str:
    """Return a date and time to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
