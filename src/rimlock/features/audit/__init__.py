"""The audit as administrators read it: who did what to whom, when and from where."""

from __future__ import annotations

from rimlock.features.audit.feature import AuditFeature

__all__ = ["AuditFeature"]
