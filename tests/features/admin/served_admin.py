"""The application that is killed in the middle of changes of passwords."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[2]))

from features.admin.staff import GENEROUS, staffed

app, auth, _ = staffed(os.environ["SERVED_DATABASE"], **GENEROUS)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["SERVED_PORT"]), log_level="error")
