"""What the suites about the documentation share."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from docs.pages import ROOT


@pytest.fixture(scope="session")
def generate() -> ModuleType:
    """The generator of the reference, imported from where it stands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        return import_module("generate")
