"""How the application knows its users: by UUID, by number, or by any text.

Threat: one user found under two ids, or an id that means another user here than it meant before.
Source: FastAPI Users' documented id types; RFC 9562 section 4 (the forms of a UUID).
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

__all__ = ["Id", "Ids", "as_stored", "shown"]

Ids = Literal["uuid", "int", "text"]
Id = UUID | int | str


def shown(user_id: str, ids: Ids) -> Id:
    """Return an id in the form the application knows. Raises ValueError for one that has no such form."""
    if ids == "uuid":
        return UUID(user_id)
    return int(user_id) if ids == "int" else user_id


def as_stored(text: str, ids: Ids) -> tuple[str, ...]:
    """Return the ids under which a user may be stored whom the application calls `text`; none for a malformed one.

    Users that came from elsewhere kept the dashes of their UUID; those made here have none.
    """
    try:
        found = shown(text, ids)
    except ValueError:
        return ()
    if isinstance(found, UUID):
        return (str(found), found.hex)
    return (str(found),) if str(found).isprintable() else ()
