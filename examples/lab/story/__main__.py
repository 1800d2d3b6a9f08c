"""Tell the story: `python -m story [--count 50000]`. It stops at the first thing that is not as it was to be."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from time import monotonic

from story import attacking, before, ownership, reading, retiring, turning, unfitting
from story.callers import Desktop, Person, Script
from story.stage import OLD_KEY, Place, Wrong

PASSWORD = "a lantern over the quiet estuary"


def main() -> int:
    """Tell every chapter, and say whether all of it was right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000, help="how many analyses the laboratory has")
    wanted = parser.parse_args()
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="lab-story-") as folder:
        place = Place(Path(folder))
        try:
            _tell(place, wanted.count)
        except Wrong as wrong:
            print(
                f"{place.log.read_text()[-3000:]}\n\nWRONG  {wrong}" if place.log.exists() else wrong, file=sys.stderr
            )
            return 1
        finally:
            place.stop()
    print(f"\nEverything was as it was to be. ({monotonic() - began:.0f} s)")
    return 0


def _tell(place: Place, count: int) -> None:
    desktop = Desktop(place.port, OLD_KEY)
    ann = Person(place.port, "ann", PASSWORD)
    scripts = [Script(place.port, number) for number in range(3)]
    schema = before.as_it_was(place, count)
    before.a_day(place, desktop, ann, scripts)
    after_the_day = place.host()
    reading.read(place)
    retiring.deprecated(place, desktop, ann, scripts[0])
    retiring.browned_out(place, desktop, ann, scripts[0])
    turning.turned(place, desktop, ann)
    attacking.attacked(place, ann)
    sealed, recorded = ownership.given(place, desktop, scripts[0])
    ownership.finished(place, sealed)
    ownership.taken_back(place, sealed, recorded)
    unfitting.all_the_way(place, desktop, scripts[0])
    unfitting.unfitted(place, schema, after_the_day, recorded, (desktop, scripts[0]))


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(main())
