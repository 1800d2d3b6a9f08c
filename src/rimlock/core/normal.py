"""One canonical form for the names people sign in with, made before anything is compared or stored.

Threat: two accounts that look or compare alike (dotless i, ligatures, full-width forms, mixed scripts); a name found
one way and stored another.
Source: RFC 8265 (PRECIS usernames), RFC 5321/6531 (addresses), UTS #39 section 5 (mixed scripts).

What people show of themselves is judged here too: a name that turns the text around it, a picture that is a script,
a profile that no database and no answer can carry.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rimlock.core.errors import InvalidRequest

__all__ = ["avatar_form", "display_form", "email_forms", "login_key", "profile_form", "username_forms"]

LONGEST_EMAIL = 320
LONGEST_USERNAME = 64
LONGEST_DISPLAY_NAME = 200
LONGEST_AVATAR_URL = 2000
PROFILE_BYTES = 8 * 1024
PROFILE_MEMBERS = 64
PROFILE_DEPTH = 8
_JOINERS = {"\u200c", "\u200d"}  # letters of Persian and of many scripts of India are written with them, and emoji


def email_forms(address: str) -> tuple[str, str]:
    """Return the address as it is stored and sent to, and the key it is compared by. Raises InvalidRequest."""
    from email_validator import EmailNotValidError, validate_email

    if len(address) > LONGEST_EMAIL or not _plain(address):
        raise _refused("email", "email_invalid", "This is not an email address.")
    try:
        found = validate_email(address, check_deliverability=False, allow_quoted_local=False)
    except (EmailNotValidError, UnicodeError):
        raise _refused("email", "email_invalid", "This is not an email address.") from None
    local = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", found.local_part).casefold())
    if not _single_script(local):
        raise _refused("email", "email_mixed_scripts", "The address mixes letters of different scripts.")
    key = f"{local}@{(found.ascii_domain or found.domain).lower()}"
    if len(key) > LONGEST_EMAIL:  # folding can lengthen a text
        raise _refused("email", "email_invalid", "This is not an email address.")
    return found.normalized, key


def username_forms(name: str) -> tuple[str, str]:
    """Return the username as shown, and the key it is compared by. Raises InvalidRequest."""
    from precis_i18n import get_profile

    wrong = _refused("username", "username_invalid", "Use letters, digits and . - _ without spaces.")
    if not 1 <= len(name) <= LONGEST_USERNAME or "@" in name:
        raise wrong
    try:
        shown = get_profile("UsernameCasePreserved").enforce(name)
        key = get_profile("UsernameCaseMapped").enforce(name)
    except UnicodeError:
        raise wrong from None
    if not _name(shown) or len(key) > LONGEST_USERNAME:
        raise wrong
    if not _single_script(key):
        raise _refused("username", "username_mixed_scripts", "The name mixes letters of different scripts.")
    return shown, key


def login_key(login: str) -> tuple[str, str] | None:
    """Return ("email" | "username", key) for what somebody typed to sign in, or None when it can be neither."""
    try:
        if "@" in login:
            return "email", email_forms(login)[1]
        return "username", username_forms(login)[1]
    except InvalidRequest:
        return None


def display_form(name: str) -> str:
    """Return the name as others see it, in NFC and without space around it. Raises InvalidRequest."""
    shown = unicodedata.normalize("NFC", name).strip()
    if len(shown) > LONGEST_DISPLAY_NAME or not _plain("".join(sign for sign in shown if sign not in _JOINERS)):
        raise _refused("display_name", "display_name_invalid", "Use up to 200 visible characters.")
    return shown


def avatar_form(url: str) -> str:
    """Return the address of a picture: empty, or an absolute `https` or `http` URL. Raises InvalidRequest."""
    if url and not _fetchable(url):
        raise _refused("avatar_url", "avatar_url_invalid", "Use an https address of up to 2,000 characters.")
    return url


def profile_form(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return the free fields: up to 64 members, 8 KiB of JSON, 8 levels. Raises InvalidRequest."""
    if len(profile) > PROFILE_MEMBERS or not _within(profile, PROFILE_DEPTH) or not _carried(profile):
        raise _refused("profile", "profile_invalid", "Use a JSON object of up to 64 members and 8 KiB.")
    return dict(profile)


def _fetchable(url: str) -> bool:
    if len(url) > LONGEST_AVATAR_URL or not url.isascii() or not url.isprintable() or set(url) & set(" \"'<>\\"):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and "@" not in parts.netloc


def _within(value: Any, levels: int) -> bool:
    """Say whether a value nests at most so deep; it stops looking as soon as it does not."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return levels > 0 and all(_within(one, levels - 1) for one in inner)


def _carried(profile: Mapping[str, Any]) -> bool:
    """Say whether every database and every answer can carry it: JSON without NaN, NUL or half characters."""
    try:
        text = json.dumps(profile, ensure_ascii=False, allow_nan=False)
        return len(text.encode()) <= PROFILE_BYTES and "\\u0000" not in text
    except (TypeError, ValueError):
        return False


def _name(text: str) -> bool:
    """Letters, digits and their marks, and . - _ among them: something to say, and nothing that sits on a neighbour."""
    marks = {sign for sign in text if unicodedata.category(sign) in {"Mn", "Mc"}}
    spoken = any(sign.isalnum() for sign in text)
    return spoken and text[0] not in marks and all(sign.isalnum() or sign in ".-_" or sign in marks for sign in text)


def _single_script(text: str) -> bool:
    """Letters and digits of one script only, told apart by the first word of the character's name.

    The digits 0 to 9 and what Japanese is written in stand with any other.
    """
    scripts = {unicodedata.name(sign, "?").split(" ", 1)[0] for sign in text if sign.isalnum()}
    return len(scripts - _NEUTRAL) <= 1


_NEUTRAL = {"DIGIT", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "CJK", "IDEOGRAPHIC", "FULLWIDTH"}


def _plain(text: str) -> bool:
    return all(unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for sign in text)


def _refused(field: str, code: str, detail: str) -> InvalidRequest:
    return InvalidRequest(errors=({"name": field, "code": code, "detail": detail},))
