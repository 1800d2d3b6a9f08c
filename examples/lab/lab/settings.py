"""What the environment decides. Read when asked for, so that a test or an operator can change it."""

from __future__ import annotations

import os

DEFAULT_DATABASE_URL = "sqlite:///lab.db"
DEFAULT_ORIGINS = (
    "http://localhost:5173",  # the front end's development server
    "https://lab.example.org",  # the deployed front end
    "tauri://localhost",  # the desktop shell on macOS and Linux
    "http://tauri.localhost",  # the desktop shell on Windows
)


def database_url() -> str:
    """Return the SQLAlchemy URL of the laboratory's database: LAB_DATABASE_URL."""
    return os.environ.get("LAB_DATABASE_URL") or DEFAULT_DATABASE_URL


def api_key() -> str:
    """Return the one key that writers and the explorer present: LAB_API_KEY. Empty means that nobody has it."""
    return os.environ.get("LAB_API_KEY", "")


def cors_origins() -> list[str]:
    """Return the exact origins a browser may call from: LAB_CORS_ORIGINS, separated by commas."""
    configured = os.environ.get("LAB_CORS_ORIGINS", "")
    return [origin.strip() for origin in configured.split(",") if origin.strip()] or list(DEFAULT_ORIGINS)
