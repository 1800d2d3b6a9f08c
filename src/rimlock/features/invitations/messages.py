"""What is said to who is invited, and to who was let in.

Threat: an invitation that carries a sentence of whoever made it.
Source: OWASP ASVS 5.0 V1.3.11, V6.4.1.
"""

from __future__ import annotations

from rimlock.core.invitations import MAIL
from rimlock.core.messages import MessageKind

__all__ = ["APPROVED", "KINDS"]

APPROVED = "approved"
_PLACE = "rimlock.features.invitations.templates"
_CODE = "ABCD-EFGH-JKMN-PQRS-TVWX"
_INVITED = {"link": f"https://app.example.com/register?invitation={_CODE}", "code": _CODE, "until": "2030-01-31"}

KINDS = (
    MessageKind(name=MAIL, package=_PLACE, example=_INVITED),
    MessageKind(name=APPROVED, package=_PLACE, example={"link": "https://app.example.com/login"}),
)
