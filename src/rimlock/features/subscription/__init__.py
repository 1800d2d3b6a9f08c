"""What a payment provider knows of a user: written by the host, seen by its owner."""

from __future__ import annotations

from rimlock.features.subscription.feature import SubscriptionFeature

__all__ = ["SubscriptionFeature"]
