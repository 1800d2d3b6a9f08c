"""Add up the result files of several pytest runs and say the sum in one line: `python total.py build/*.xml`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

__all__ = ["total"]


AGAIN = "again"
"""The result file of the tests that failed beside others and were run once more, alone."""


def total(files: list[Path]) -> str:
    """Return the sum, e.g. `812 passed, 0 failed, 3 skipped`; errors count as failures.

    What failed beside others and passed alone is passed, and said.
    """
    first = _counted([file for file in files if file.stem != AGAIN])
    alone = _counted([file for file in files if file.stem == AGAIN])["passed"]
    told = f"{first['passed'] + alone} passed, {first['failed'] - alone} failed, {first['skipped']} skipped"
    return f"{told}; {alone} of them passed only when run alone" if alone else told


def _counted(files: list[Path]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for suite in (found for file in files for found in ET.parse(file).getroot().iter("testsuite")):
        given = {word: int(suite.get(word, "0")) for word in ("tests", "failures", "errors", "skipped")}
        failed = given["failures"] + given["errors"]
        passed = given["tests"] - failed - given["skipped"]
        counts.update({"passed": passed, "failed": failed, "skipped": given["skipped"]})
    return counts


if __name__ == "__main__":
    print(total([Path(name) for name in sys.argv[1:]]))  # noqa: T201 - the sum is the program's answer
