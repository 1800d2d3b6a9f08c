"""Why a mail was not sent.

Threat: what a server says about somebody's address, in a log.
Source: RFC 5321 section 4.2.1 (what a reply's first digit means).
"""

from __future__ import annotations

__all__ = ["NotSent", "Unwritable"]


class NotSent(Exception):
    """The way out did not take a mail.

    `reason`: words of ours, with a number. `permanent`: trying again is of no use. `broken`: the way itself is at
    fault, and no other mail would get through by it now.
    """

    def __init__(self, reason: str, *, permanent: bool = False, broken: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.broken = broken


class Unwritable(Exception):
    """A message cannot be made into a mail. `passing`: another process, or this one later, may be able to.

    `over`: its time has passed, so that what it says need not be kept.
    """

    def __init__(self, reason: str, *, passing: bool = False, over: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing
        self.over = over
