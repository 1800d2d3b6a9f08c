"""The standalone server: a host application of its own, on the public interface only."""

from __future__ import annotations

from rimlock.server.app import create_app
from rimlock.server.running import STANDALONE, run

__all__ = ["STANDALONE", "create_app", "run"]
