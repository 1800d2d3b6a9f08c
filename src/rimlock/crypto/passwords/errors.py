"""Why a password or its stored form was refused.

Threat: a message, a representation or an exception argument that repeats the password or the hash.
Source: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 V16.2.5.
"""

from __future__ import annotations

__all__ = [
    "HashUnreadable",
    "PasswordError",
    "PasswordMismatch",
    "PasswordTooLong",
    "PasswordUnencodable",
    "PasswordUnusable",
    "VerifierMissing",
]


class PasswordError(Exception):
    """Root of what this package raises. The text is fixed per class: nothing that was submitted is in it."""

    text = "The password could not be judged."

    def __init__(self) -> None:
        """Carry the fixed sentence of the class."""
        super().__init__(self.text)


class PasswordMismatch(PasswordError):
    """The stored form was read, and the password is not the one it was made from."""

    text = "The password does not match."


class HashUnreadable(PasswordError):
    """The stored form is of no known kind, is damaged, or asks for more work than the documented limits."""

    text = "The stored password hash is not of a known form, or exceeds the limits of one."


class VerifierMissing(PasswordError):
    """The stored form is known, but the package that computes it is not installed."""

    text = "This stored hash needs the package bcrypt. Install rimlock[import]."


class PasswordUnusable(PasswordError):
    """The text can't be hashed as a password, whatever is stored."""

    text = "The password cannot be used."


class PasswordTooLong(PasswordUnusable):
    """More than 1,024 bytes of UTF-8. Refused before any hashing."""

    text = "The password is longer than 1,024 bytes."


class PasswordUnencodable(PasswordUnusable):
    """A NUL or a lone surrogate: not text that every scheme hashes whole."""

    text = "The password contains a character that cannot be stored."
