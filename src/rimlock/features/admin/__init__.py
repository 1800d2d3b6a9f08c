"""Accounts in the hands of administrators: found, made, let in, stopped, given roles and temporary passwords."""

from __future__ import annotations

from rimlock.features.admin.feature import AdminFeature

__all__ = ["AdminFeature"]
