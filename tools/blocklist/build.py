"""Make `src/rimlock/crypto/passwords/blocklist.bin`: the common passwords, as sorted truncated digests.

Threat: a list that nobody can make again, or that carries other people's text along.
Source: two published frequency lists, of which only the strings are used, as facts: the common passwords that the
    package Django 5.2.19 ships (BSD) and the passwords, words and names of the package zxcvbn 4.5.0 (MIT). The
    phrases in `phrases.txt` and every pattern below are our own.

Run it from the repository with both packages at hand:

    uv run --no-project --with django==5.2.19 --with zxcvbn==4.5.0 --with . tools/blocklist/build.py

What the reader of the list works out by itself is not in it: capitals, separators, look-alike digits, a few digits or
symbols at the ends, repetition, rows of keys. So `Sunshine-1999!` and `sunshinesunshine` are found by `sunshine`.
Sections are filled in the order of `sections` until the file has its size; the counts go to standard output.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import chain, islice, product
from pathlib import Path
from sys import stdout

from rimlock.crypto.passwords.blocklist import DIGEST_BYTES, digest
from rimlock.crypto.passwords.readings import fold

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "src/rimlock/crypto/passwords/blocklist.bin"
MOST_ENTRIES = 600_000 // DIGEST_BYTES
SHORTEST, LONG_WORD = 5, 8
LAYOUTS = (
    ("1234567890", "qwertyuiop", "asdfghjkl;", "zxcvbnm,./"),
    ("1234567890", "qwertzuiop", "asdfghjklö", "yxcvbnm,.-"),
    ("1234567890", "azertyuiop", "qsdfghjklm", "wxcvbn,;:!"),
    ("1234567890", "йцукенгшщз", "фывапролдж", "ячсмитьбю."),
)
ENDEARMENTS = (
    "iloveyou",
    "ilove",
    "imissyou",
    "mynameis",
    "iam",
    "my",
    "hello",
    "loveyou",
    "forever",
    "mrs",
    "password",
)


def main() -> None:
    """Write the file and say what is in it."""
    chosen: dict[str, None] = {}
    for name, entries in sections():
        before = len(chosen)
        chosen.update(dict.fromkeys(islice(_new(entries, chosen), MOST_ENTRIES - before)))
        stdout.write(f"{name:24} {len(chosen) - before:7,}\n")
    digests = sorted({digest(entry) for entry in chosen})
    TARGET.write_bytes(b"".join(digests))
    for length in (1, 8, 12, 15):
        stdout.write(f"{length:>2} characters or more    {sum(len(entry) >= length for entry in chosen):7,}\n")
    stdout.write(f"{TARGET.name}: {len(digests):,} digests, {TARGET.stat().st_size:,} bytes\n")


def sections() -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the parts of the list, the most likely guesses first."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    names = list(chain(FREQUENCY_LISTS["male_names"][:900], FREQUENCY_LISTS["female_names"][:1_500]))
    common = [word for word in FREQUENCY_LISTS["passwords"] if word.isalpha() and len(word) >= SHORTEST]
    yield "zxcvbn passwords", FREQUENCY_LISTS["passwords"]
    yield "django passwords", django_passwords()
    yield "phrases", phrases()
    yield "keyboard walks", keyboard_walks()
    yield "numbers and dates", number_runs()
    yield "endearment and name", ("".join(pair) for pair in product(ENDEARMENTS[:4], names))
    yield "endearment and word", ("".join(pair) for pair in product(ENDEARMENTS, common[:300]))
    yield "names", names
    yield "long words", (word for word in FREQUENCY_LISTS["english_wikipedia"] if len(word) >= LONG_WORD)
    yield "two common words", ("".join(pair) for pair in product(common[:165], common[:165]))


def django_passwords() -> list[str]:
    """Return the lines of the list that Django ships."""
    return gzip.decompress((files("django.contrib.auth") / "common-passwords.txt.gz").read_bytes()).decode().split()


def phrases() -> list[str]:
    """Return our own phrases, run together: the reader of the list takes separators out."""
    lines = (HERE / "phrases.txt").read_text(encoding="utf-8").splitlines()
    return ["".join(line.split()) for line in lines if not line.startswith("#")]


def keyboard_walks() -> Iterator[str]:
    """Yield columns and blocks of neighbouring keys, in every order a hand takes them."""
    for rows in LAYOUTS:
        columns = ["".join(keys) for keys in zip(*rows, strict=True)]
        for start, length in product(range(10), range(2, 7)):
            part = columns[start : start + length]
            yield from _ways(part)
            yield from _ways(part[::-1])
        for start, width, first, last in product(range(10), range(2, 6), range(4), range(2, 5)):
            yield from _ways([row[start : start + width] for row in rows[first:last]])


def _ways(strokes: list[str]) -> Iterator[str]:
    """Yield the strokes one after the other: all one way, all the other, and to and fro."""
    back = [stroke[::-1] for stroke in strokes]
    snake = [stroke if index % 2 else back[index] for index, stroke in enumerate(strokes)]
    other_snake = [back[index] if index % 2 else stroke for index, stroke in enumerate(strokes)]
    for way in (strokes, back, snake, other_snake):
        yield "".join(way)
        yield "".join(reversed(way))


def number_runs() -> Iterator[str]:
    """Yield digits doubled in order, sums of well-known digits, and years one after the other."""
    for digits in ("123456789", "1234567890", "0123456789", "987654321", "9876543210"):
        yield "".join(digit * 2 for digit in digits)
        yield "".join(digit * 3 for digit in digits)
    yield from ("3141592653589793", "314159265358979", "3141592653", "2718281828459045", "1618033988749895")
    yield from ("1123581321345589", "11235813213455", "123581321345589144", "2357111317192329", "248163264128256")
    yield from (f"{year}{year + 1}{year + 2}{year + 3}" for year in range(1940, 2031))
    yield from ("onetwothreefourfive", "firstsecondthird", "alphabravocharliedelta", "alphabetagammadelta")


def _new(entries: Iterable[str], known: dict[str, None]) -> Iterator[str]:
    seen = set(known)
    for entry in map(fold, entries):
        if len(entry) >= SHORTEST and entry not in seen:
            seen.add(entry)
            yield entry


if __name__ == "__main__":
    main()
