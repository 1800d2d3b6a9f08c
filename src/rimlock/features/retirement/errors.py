"""What can be wrong with a change of a retirement.

Threat: a mistyped key that is believed to be on its way out.
Source: requirement L12.
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["NoBrownout", "NoRetirementToUndo", "RetirementInvalid", "RetirementTargetUnknown"]


class RetirementInvalid(AuthError):
    """What was to be said contradicts itself: a sunset before the deprecation, a window that ends before it starts."""

    code, status, title = "retirement_invalid", 422, "These dates, windows or this link cannot be."


class RetirementTargetUnknown(AuthError):
    """There is no such key, or no such kind of credential, so nothing would be retired."""

    code, status, title = "retirement_target_unknown", 404, "There is no such key or kind of credential."


class NoBrownout(AuthError):
    """The target has no brownout that could be aborted."""

    code, status, title = "no_brownout", 409, "There is no brownout to abort."


class NoRetirementToUndo(AuthError):
    """Every change (of the target, when given) is undone already."""

    code, status, title = "no_retirement_to_undo", 404, "There is no change of a retirement to take back."
