"""What a token says, and each rule it breaks, without ever repeating the token.

Threat: a token pasted into a web page to see what is in it; a forged token whose content is believed.
Source: RFC 7519 section 7.2 (validation); RFC 9068 section 4; RFC 8725.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimlock.cli.running import on_installation, settings_without_secret
from rimlock.cli.sentences import EXPECTED, sentence
from rimlock.core.access import ANYONE_KNOWN
from rimlock.core.clock import system_clock
from rimlock.core.errors import AuthError
from rimlock.core.principal import Principal
from rimlock.core.tokens import MAX_LIFETIME, TYPES
from rimlock.crypto import jose
from rimlock.crypto.encoding import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rimlock import Rimlock, Settings

__all__ = ["Inspection", "look_into"]

LEEWAY = timedelta(seconds=5)

RULES = {
    jose.Reason.TOO_LARGE: "it is longer than any token of ours",
    jose.Reason.MALFORMED: "it is not three parts of base64url with dots between them",
    jose.Reason.ENCODING: "a part is not canonical base64url",
    jose.Reason.HEADER: "its header is no JSON object",
    jose.Reason.PAYLOAD: "its content is no JSON object",
    jose.Reason.DUPLICATE_MEMBER: "a name stands twice in one object",
    jose.Reason.ALGORITHM: "its algorithm is not the one of the key it names, or none of ours",
    jose.Reason.CRITICAL: "its header demands an extension",
    jose.Reason.EMBEDDED_KEY: "it brings its own key",
    jose.Reason.ENCRYPTED: "it is encrypted",
    jose.Reason.TYPE: "it is no access token: typ has to be at+jwt",
    jose.Reason.KEY_UNKNOWN: "no key of this installation has its kid",
    jose.Reason.SIGNATURE: "its signature was not made by the key it names",
    jose.Reason.MISSING: "a claim is missing: iss, aud, sub, exp, iat and jti have to be there",
    jose.Reason.CLAIM_TYPE: "a claim is of the wrong type",
    jose.Reason.EXPIRED: "its time is over",
    jose.Reason.NOT_YET_VALID: "it is from the future",
    jose.Reason.LIFETIME: "it lives longer than 24 hours",
    jose.Reason.ISSUER: "another issuer made it",
    jose.Reason.AUDIENCE: "it is for another audience",
}


@dataclass(slots=True)
class Inspection:
    """What was found. `signature`: genuine, refused, or why it was not checked. `breaks`: rule and sentence."""

    header: Mapping[str, Any] | None
    claims: Mapping[str, Any] | None
    signature: str
    breaks: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return it for showing."""
        broken = [{"rule": rule, "text": text} for rule, text in self.breaks.items()]
        return {"header": self.header, "claims": self.claims, "signature": self.signature, "breaks": broken}

    def refuse(self, refused: jose.TokenRefused) -> None:
        """Note a broken rule."""
        self.breaks.setdefault(str(refused.reason), RULES.get(refused.reason, "its form is not allowed"))


def look_into(token: bytes, *, offline: bool, config: Path | None) -> Inspection:
    """Judge a token by form and content, and by the keys and revocations of the installation unless `offline`."""
    settings = settings_without_secret(config)
    head, body = ([*token.split(b"."), b"", b""])[:2]
    seen = Inspection(_object(head), _object(body), "not checked: offline")
    _judge_form(seen, token)
    _judge_claims(seen, settings)
    if not offline:
        _judge_online(seen, token, settings, config)
    return seen


def _judge_form(seen: Inspection, token: bytes) -> None:
    """Everything up to the choice of the key, which nobody has here."""
    try:
        jose.read(token, {}, typ=TYPES)
    except jose.TokenRefused as refused:
        if refused.reason is not jose.Reason.KEY_UNKNOWN:
            seen.refuse(refused)


def _judge_claims(seen: Inspection, settings: Settings) -> None:
    if seen.claims is None:
        return
    expected = jose.Expectation(
        issuer=settings.issuer,
        audience=settings.audience or settings.issuer,
        max_lifetime=timedelta(seconds=MAX_LIFETIME),
        leeway=LEEWAY,
    )
    try:
        jose.check_claims(seen.claims, expected, system_clock())
    except jose.TokenRefused as refused:
        seen.refuse(refused)


def _judge_online(seen: Inspection, token: bytes, settings: Settings, config: Path | None) -> None:
    """Ask the installation itself, where there is one to ask."""
    try:
        if settings.algorithm != "HS256" and not _built(settings):
            seen.signature = "not checked: the database has no signing keys"
            return
        refused, reason, error = on_installation(lambda auth: _ask(auth, token), config=config)
    except EXPECTED as failure:
        seen.signature = f"not checked: {sentence(failure)}"
        return
    seen.signature = "refused" if refused else "genuine"
    if reason is not None:
        seen.refuse(reason)
    elif error is not None and not seen.breaks:
        seen.breaks[error.code] = "its session has ended, or its account was changed since it was made"


async def _ask(auth: Rimlock, token: bytes) -> tuple[bool, jose.TokenRefused | None, AuthError | None]:
    """Return whether the signature is refused, the rule that says so, and what the door says of the whole."""
    try:
        jose.read(token, auth.context.ring().verifiers(auth.context.now()), typ=TYPES)
    except jose.TokenRefused as refused:
        return True, refused, None
    try:
        scope = {"type": "http", "headers": [(b"authorization", b"Bearer " + token)], "query_string": b"", "path": "/"}
        found = auth.door.principal(scope, ANYONE_KNOWN)
        if not isinstance(found, Principal):
            await found
    except AuthError as error:
        return False, None, error
    return False, None, None


def _built(settings: Settings) -> bool:
    from rimlock import migrations

    return asyncio.run(migrations.current(settings.database)) is not None


def _object(part: bytes) -> Mapping[str, Any] | None:
    """Return a part as it is written, however wrong; None when it is no JSON object."""
    with suppress(ValueError, RecursionError):
        found = json.loads(decode(part))
        return found if isinstance(found, dict) else None
    return None
