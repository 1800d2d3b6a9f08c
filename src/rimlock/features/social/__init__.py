"""Signing in through Google and others, and linking their logins to an account."""

from __future__ import annotations

from rimlock.features.social.feature import SocialFeature, social_of
from rimlock.features.social.logic import Endpoints, Provider, Social

__all__ = ["Endpoints", "Provider", "Social", "SocialFeature", "social_of"]
