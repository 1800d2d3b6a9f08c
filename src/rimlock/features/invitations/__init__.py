"""Invitations in the hands of administrators: made, listed and revoked. Registration takes them."""

from __future__ import annotations

from rimlock.features.invitations.feature import InvitationsFeature

__all__ = ["InvitationsFeature"]
