"""Puts a route of the dialect where generated clients look for it.

Threat: a route that changes its name, and with it every generated client.
Source: full-stack-fastapi-template (2026-08-21), `custom_generate_unique_id`: the tag, a hyphen, the function's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["add"]


def add(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    types: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Add a route. `types`: of parameters whose type depends on the application, which annotations cannot name."""
    endpoint.__annotations__.update(types or {})
    named = f"{router.tags[0]}-{endpoint.__name__}"
    router.add_api_route(path, endpoint, methods=[method], operation_id=named, **options)
