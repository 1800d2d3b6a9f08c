"""One canonical form for the names people sign in with, made before anything is compared or stored.

Threat: two accounts that look or compare alike (dotless i, ligatures, full-width forms, mixed scripts); a name found
one way and stored another.
Source: RFC 8265 (PRECIS usernames), RFC 5321/6531 (addresses), UTS #39 section 5 (mixed scripts).
"""

from __future__ import annotations

import unicodedata

from rimlock.core.errors import InvalidRequest

__all__ = ["email_forms", "login_key", "username_forms"]

LONGEST_EMAIL = 320
LONGEST_USERNAME = 64


def email_forms(address: str) -> tuple[str, str]:
    """Return the address as it is stored and sent to, and the key it is compared by. Raises InvalidRequest."""
    from email_validator import EmailNotValidError, validate_email

    if len(address) > LONGEST_EMAIL or not _plain(address):
        raise _refused("email", "email_invalid", "This is not an email address.")
    try:
        found = validate_email(address, check_deliverability=False, allow_quoted_local=False)
    except (EmailNotValidError, UnicodeError):
        raise _refused("email", "email_invalid", "This is not an email address.") from None
    local = unicodedata.normalize("NFKC", found.local_part).casefold()
    if not _single_script(local):
        raise _refused("email", "email_mixed_scripts", "The address mixes letters of different scripts.")
    return found.normalized, f"{local}@{(found.ascii_domain or found.domain).lower()}"


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
    if not shown or not all(sign.isalnum() or sign in ".-_" or unicodedata.combining(sign) for sign in shown):
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


def _single_script(text: str) -> bool:
    """Letters of one script only; the scripts are told apart by the first word of the character's name."""
    scripts = {unicodedata.name(sign, "?").split(" ", 1)[0] for sign in text if sign.isalpha()}
    return len(scripts - {"HIRAGANA", "KATAKANA", "CJK", "FULLWIDTH"}) <= 1


def _plain(text: str) -> bool:
    return all(unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for sign in text)


def _refused(field: str, code: str, detail: str) -> InvalidRequest:
    return InvalidRequest(errors=({"name": field, "code": code, "detail": detail},))
