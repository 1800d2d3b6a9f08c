"""What can be wrong with a change of stage.

Threat: a mistyped route that is believed to be protected.
Source: design section 5.
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["ExtentInvalid", "NothingToTakeBack", "RoutePatternInvalid", "RouteUnknown"]


class RoutePatternInvalid(AuthError):
    """The text names no route: neither `GET /items/{id}` nor `/items/**`."""

    code, status, title = "route_pattern_invalid", 422, "This is not the pattern of a route."


class RouteUnknown(AuthError):
    """No route of the application fits the pattern, so a change would protect nothing."""

    code, status, title = "route_unknown", 422, "No route fits this pattern; `force` changes it all the same."


class ExtentInvalid(AuthError):
    """`percent` or `until` does not fit the stage."""

    code, status, title = "extent_invalid", 422, "This stage cannot hold for so many callers, or until then."


class NothingToTakeBack(AuthError):
    """Every change (of the route, when given) is undone already."""

    code, status, title = "nothing_to_take_back", 404, "There is no change to take back."
