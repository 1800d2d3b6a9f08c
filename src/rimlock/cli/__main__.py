"""`python -m rimlock.cli`, where the script is not on the path.

Threat: a worker process that starts the command again instead of serving.
Source: https://docs.python.org/3/library/multiprocessing.html (safe importing of the main module).
"""

from __future__ import annotations

import sys

from rimlock.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
