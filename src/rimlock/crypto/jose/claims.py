"""What a genuine token says, judged against what is expected of it.

Threat: a token for another audience, of another issuer, without end, from the future; a claim of another type than
the one compared.
Source: RFC 7519 section 4.1; RFC 9068 section 4; RFC 8725 sections 3.8 to 3.10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rimlock.crypto.jose.refusals import Reason, TokenRefused

__all__ = ["Expectation", "check_claims"]

_LONGEST_LEEWAY = timedelta(seconds=60)
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a verifier demands. Raises ValueError when it demands nothing.

    `issuer`, `audience`: compared exactly. `max_lifetime`: longest time from `iat` (without one: from now) to `exp`.
    `leeway`: how far two clocks may be apart, at most a minute. `require`: claims that must be there beside `iss`,
    `aud`, `sub` and `exp`. `strict_audience`: nobody else may be addressed. `whole_seconds`: times are integers, as
    ours are; other issuers may send fractions.
    """

    issuer: str
    audience: str
    max_lifetime: timedelta
    leeway: timedelta = timedelta(seconds=30)
    require: frozenset[str] = frozenset({"iat", "jti"})
    strict_audience: bool = True
    whole_seconds: bool = True
    demanded: frozenset[str] = field(init=False, repr=False)
    longest_seconds: float = field(init=False, repr=False)
    leeway_seconds: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError("name the issuer and the audience that tokens must have")
        if not timedelta(0) <= self.leeway <= _LONGEST_LEEWAY:
            raise ValueError("the leeway is between nothing and 60 seconds; set the clocks instead")
        if self.max_lifetime <= timedelta(0):
            raise ValueError("the longest lifetime is more than nothing")
        object.__setattr__(self, "longest_seconds", self.max_lifetime.total_seconds())
        object.__setattr__(self, "leeway_seconds", self.leeway.total_seconds())
        object.__setattr__(self, "demanded", frozenset(self.require) | {"iss", "aud", "sub", "exp"})


def check_claims(claims: Mapping[str, Any], expectation: Expectation, now: float) -> None:
    """Return when the claims are as expected at `now` (seconds since the epoch); raise TokenRefused otherwise."""
    if not expectation.demanded <= claims.keys():
        raise TokenRefused(Reason.MISSING)
    if claims["iss"] != expectation.issuer:
        raise TokenRefused(Reason.ISSUER if isinstance(claims["iss"], str) else Reason.CLAIM_TYPE)
    _check_audience(claims["aud"], expectation)
    _check_subject(claims["sub"])
    _check_times(claims, expectation, now)


def _check_audience(audience: object, expectation: Expectation) -> None:
    if audience == expectation.audience:
        return
    if not isinstance(audience, list) or not all(isinstance(each, str) for each in audience):
        raise TokenRefused(Reason.AUDIENCE if isinstance(audience, str) else Reason.CLAIM_TYPE)
    if expectation.audience not in audience or (expectation.strict_audience and len(audience) != 1):
        raise TokenRefused(Reason.AUDIENCE)


def _check_subject(subject: object) -> None:
    if not isinstance(subject, str):
        raise TokenRefused(Reason.CLAIM_TYPE)
    if not _SUBJECT.fullmatch(subject):
        raise TokenRefused(Reason.SUBJECT)


def _check_times(claims: Mapping[str, Any], expectation: Expectation, now: float) -> None:
    expires, issued = _time(claims, "exp", expectation), _time(claims, "iat", expectation)
    starts = _time(claims, "nbf", expectation)
    if expires is None or now >= expires + expectation.leeway_seconds:
        raise TokenRefused(Reason.EXPIRED)
    latest = now + expectation.leeway_seconds
    if (issued is not None and issued > latest) or (starts is not None and starts > latest):
        raise TokenRefused(Reason.NOT_YET_VALID)
    start = now if issued is None else issued
    if (issued is not None and expires <= issued) or expires - start > expectation.longest_seconds:
        raise TokenRefused(Reason.LIFETIME)


def _time(claims: Mapping[str, Any], name: str, expectation: Expectation) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is int or (type(value) is float and not expectation.whole_seconds):
        return value
    raise TokenRefused(Reason.CLAIM_TYPE)
