"""Add up the result files of several pytest runs and say the sum in one line: `python total.py build/*.xml`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

__all__ = ["total"]


def total(files: list[Path]) -> str:
    """Return the sum, e.g. `812 passed, 0 failed, 3 skipped`; errors count as failures."""
    counts: Counter[str] = Counter()
    for suite in (found for file in files for found in ET.parse(file).getroot().iter("testsuite")):
        counts.update({word: int(suite.get(word, "0")) for word in ("tests", "failures", "errors", "skipped")})
    failed = counts["failures"] + counts["errors"]
    return f"{counts['tests'] - failed - counts['skipped']} passed, {failed} failed, {counts['skipped']} skipped"


if __name__ == "__main__":
    print(total([Path(name) for name in sys.argv[1:]]))  # noqa: T201 - the sum is the program's answer
