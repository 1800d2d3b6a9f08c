"""The plainer texts a password may be read as: what a guesser tries, not what the owner typed.

Threat: a common password in disguise: capitals, separators, look-alike digits, doubled, or with a year behind it.
Source: NIST SP 800-63B-4 section 3.1.1.2 (the whole password is compared, not its parts); UAX #15, UTS #18 (folding).

Every reading stands for the *whole* password. A phrase that merely contains a common word has no reading that is one.
"""

from __future__ import annotations

from unicodedata import normalize

from rimlock.crypto.passwords.patterns import is_predictable, repeated_unit

__all__ = ["fold", "readings"]

_LONGEST_PADDING = 5
_LOOK_ALIKES = str.maketrans("013457@$!+", "oieastasit")


def fold(text: str) -> str:
    """Return the text without case and compatibility variants: NFKC, casefold, NFKC."""
    return normalize("NFKC", normalize("NFKC", text).casefold())


def readings(password: str) -> frozenset[str]:
    """Return the folded password and everything that reads the same to a guesser."""
    folded = fold(password)
    found = {folded}
    for text in (folded, _joined(folded)):
        found |= _stripped(text)
        found |= {variant.translate(_LOOK_ALIKES) for variant in _stripped(text)}
    return frozenset(found | {repeated_unit(text) for text in found}) - {""}


def _joined(folded: str) -> str:
    """Leave letters, digits and look-alikes; separators between words say nothing."""
    return "".join(character for character in folded if character.isalnum() or character in "@$!+")


def _stripped(text: str) -> set[str]:
    """Return the text with and without digits and symbols at its ends, where those are no more than decoration."""
    core = text.rstrip(_outside_letters(text))
    tail = text[len(core) :]
    stem = core.lstrip(_outside_letters(core))
    head = core[: len(core) - len(stem)]
    forms = {text}
    if _is_decoration(tail):
        forms.add(core)
        if _is_decoration(head):
            forms.add(stem)
    return forms


def _outside_letters(text: str) -> str:
    return "".join({character for character in text if not character.isalpha()})


def _is_decoration(padding: str) -> bool:
    return len(padding) <= _LONGEST_PADDING or is_predictable(padding)
