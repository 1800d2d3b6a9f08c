"""What the retrofit keeps in the host's database while it runs: where it stands, table by table.

Threat: a killed run that does not know what it did; a leftover that outlives the way back.
Source: design section 1.4 (every change can be undone); requirement L7.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, MetaData, String, Table, Text

from rimlock.migrations.neighbours import BESIDE, OURS

__all__ = ["NOT_THE_HOSTS", "metadata", "state"]

metadata = MetaData()

state = Table(
    "auth_retrofit",
    metadata,
    Column("name", String(400), primary_key=True),
    Column("phase", String(16), nullable=False),
    Column("cursor", Text),
    Column("data", JSON, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
"""One line per table of the host's, and one with an empty name for the whole. The last step back drops it."""

NOT_THE_HOSTS = OURS | BESIDE
"""Tables that are ours wherever they stand: never counted, never given an owner."""
