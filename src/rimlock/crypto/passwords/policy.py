"""What a new password must be. Pure judgement: no clock, no network, no store.

Threat: a password that is guessed online within a hundred tries, or offline within a day; and rules that drive people
    to `Passw0rd!`.
Source: NIST SP 800-63B-4 section 3.1.1.2: 15 characters when the password is the only factor, 8 beside a second one;
    a blocklist compared with the whole password; no composition rules (they exist here for contracts that demand
    them, and are off).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal
from unicodedata import normalize

from rimlock.crypto.passwords.blocklist import Blocklist, CommonPasswords
from rimlock.crypto.passwords.encoding import MAXIMUM_BYTES, as_nfc
from rimlock.crypto.passwords.errors import PasswordTooLong, PasswordUnencodable
from rimlock.crypto.passwords.patterns import is_predictable
from rimlock.crypto.passwords.readings import fold, readings

__all__ = ["CharacterClass", "PasswordPolicy", "PasswordRefused", "Violation", "ViolationCode"]

CharacterClass = Literal["upper", "lower", "digit", "symbol"]
ViolationCode = Literal[
    "too_short",
    "too_long",
    "unencodable",
    "common",
    "predictable",
    "context_word",
    "missing_upper",
    "missing_lower",
    "missing_digit",
    "missing_symbol",
]
_FLOOR: Final = 8
_SHORTEST_CONTEXT_WORD: Final = 3


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason for a refusal: a stable code, and a sentence that may be shown. Neither has the password in it."""

    code: ViolationCode
    text: str


class PasswordRefused(Exception):
    """The password does not meet the policy; `violations` say why."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        """Keep the reasons; the message is their codes."""
        super().__init__(", ".join(violation.code for violation in violations))
        self.violations = violations


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPolicy:
    """The rules for a password that is about to be set.

    `minimum`: code points of the NFC form; 15 is right for a password alone, 8 is the least, for one beside a second
    factor. `maximum_bytes`: of its UTF-8, from 64 to 1,024. `blocklist`: holds folded common passwords.
    `context_words`: what a guesser expects here, such as the product's name. `composition`: classes of which one
    character each must appear. Raises `ValueError` for a setting outside these bounds.
    """

    minimum: int = 15
    maximum_bytes: int = MAXIMUM_BYTES
    blocklist: Blocklist = field(default_factory=CommonPasswords)
    context_words: tuple[str, ...] = ()
    composition: frozenset[CharacterClass] = frozenset()

    def __post_init__(self) -> None:
        """Refuse settings that accept what no policy may accept, or refuse what every policy must accept."""
        if not _FLOOR <= self.minimum <= _LEAST_MAXIMUM <= self.maximum_bytes <= MAXIMUM_BYTES:
            raise ValueError("minimum is from 8 to 64 code points, maximum_bytes from 64 to 1,024")
        if unknown := self.composition - _CLASSES.keys():
            raise ValueError(f"composition knows upper, lower, digit and symbol, not {', '.join(sorted(unknown))}")

    def check(self, password: str, *, words: Iterable[str] = ()) -> None:
        """Return if the password may be set. Raises `PasswordRefused` with every reason. `words` as in `violations`."""
        if found := self.violations(password, words=words):
            raise PasswordRefused(found)

    def violations(self, password: str, *, words: Iterable[str] = ()) -> tuple[Violation, ...]:
        """Return every reason against the password. `words` belong to the account: its address, its user name."""
        try:
            encoded = as_nfc(password)
        except PasswordTooLong:
            return (self._too_long,)
        except PasswordUnencodable:
            return (_UNENCODABLE,)
        if len(encoded) > self.maximum_bytes:
            return (self._too_long,)
        return (*self._of_length(password), *self._of_guessing(password, words), *self._of_composition(password))

    @property
    def _too_long(self) -> Violation:
        return Violation("too_long", f"Use at most {self.maximum_bytes:,} bytes; that is as many plain letters.")

    def _of_length(self, password: str) -> tuple[Violation, ...]:
        if len(normalize("NFC", password)) >= self.minimum:
            return ()
        return (Violation("too_short", f"Use at least {self.minimum} characters; a few words in a row will do."),)

    def _of_guessing(self, password: str, words: Iterable[str]) -> tuple[Violation, ...]:
        """Give the first of the reasons, the plainest one: they overlap."""
        candidates = readings(password)
        expected = {form for word in (*self.context_words, *words) for form in _context_forms(word)}
        if expected & candidates:
            return (_CONTEXT_WORD,)
        if any(candidate in self.blocklist for candidate in candidates):
            return (_COMMON,)
        return (_PREDICTABLE,) if is_predictable(fold(password)) else ()

    def _of_composition(self, password: str) -> tuple[Violation, ...]:
        demands = (_CLASSES[name] for name in _CLASSES if name in self.composition)
        return tuple(violation for has, violation in demands if not any(map(has, password)))


def _context_forms(word: str) -> frozenset[str]:
    """Return the ways a word of the account may be typed: an address as a whole, its local part, its domain."""
    local, at, domain = word.partition("@")
    parts = (word, local, domain, domain.partition(".")[0]) if at else (word,)
    forms = {form for part in parts for form in readings(part)}
    return frozenset(form for form in forms if len(form) >= _SHORTEST_CONTEXT_WORD)


def _is_symbol(character: str) -> bool:
    return not character.isalnum()


_LEAST_MAXIMUM: Final = 64
_CLASSES: Final[dict[str, tuple[Callable[[str], bool], Violation]]] = {
    "upper": (str.isupper, Violation("missing_upper", "Add an upper-case letter.")),
    "lower": (str.islower, Violation("missing_lower", "Add a lower-case letter.")),
    "digit": (str.isdecimal, Violation("missing_digit", "Add a digit.")),
    "symbol": (_is_symbol, Violation("missing_symbol", "Add a symbol.")),
}
_UNENCODABLE: Final = Violation("unencodable", "The password contains a character that cannot be used.")
_CONTEXT_WORD: Final = Violation("context_word", "Do not use your name, your address or the name of this service.")
_COMMON: Final = Violation("common", "This password is on the list of common ones. Choose words nobody expects.")
_PREDICTABLE: Final = Violation("predictable", "A row of keys, letters or numbers is easily guessed. Use some words.")
