"""API keys: shown once, kept by digest, with scopes, an end and an owner; and old keys that go on working."""

from __future__ import annotations

from rimlock.features.api_keys.feature import ApiKeys

__all__ = ["ApiKeys"]
