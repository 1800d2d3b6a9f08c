"""The change-over as a story, on a laboratory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LAB = Path(__file__).parents[1]

if "LAB_APP" not in os.environ:  # the story brings its own builds; another build has nothing to say about it

    def test_the_story_comes_to_its_end():
        """From the first watched day to the old application on its old database, every chapter finds all in order."""
        told = [sys.executable, "-m", "story", "--count", "400"]
        environment = {**os.environ, "PYTHONPATH": str(LAB)}
        done = subprocess.run(told, cwd=LAB, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "Everything was as it was to be." in done.stdout
