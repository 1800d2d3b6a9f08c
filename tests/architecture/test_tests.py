"""Tests say what they show."""

from __future__ import annotations

from architecture.source import functions, modules


def test_every_test_states_its_behaviour():
    """A reader of the tests reads sentences: every test has a docstring."""
    silent = [
        f"{function.where} {function.name}"
        for module in modules("tests")
        for function in functions(module)
        if function.name.startswith("test_") and not function.docstring
    ]
    assert not silent
