"""What others ask about this installation: its public keys, and whether it is well."""

from __future__ import annotations

from rimlock.features.status.feature import StatusFeature

__all__ = ["StatusFeature"]
