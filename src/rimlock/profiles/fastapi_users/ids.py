"""How the application knows its users: by UUID, by number, or by any text. See rimlock.profiles.ids.

Threat: none of its own.
Source: FastAPI Users' documented id types.
"""

from __future__ import annotations

from rimlock.profiles.ids import Id, Ids, as_stored, shown

__all__ = ["Id", "Ids", "as_stored", "shown"]
