"""Functions and modules stay small enough to be read; rooms stay small enough to be known."""

from __future__ import annotations

from statistics import median, quantiles

import pytest

from architecture.source import functions, package, parse

MEDIAN, MOST, LONGEST = 8, 25, 60
"""Lines of a function, its docstring not counted: at the middle, at the ninetieth percentile, at most."""

LONGEST_MODULE = 500

CEILINGS = {
    "rimlock.crypto": 3_500,
    "rimlock.core": 10_800,
    "rimlock.web": 4_600,
    "rimlock.cli": 3_200,
    "rimlock.feature": 200,
}
"""Lines of a room: the change-over is counted, limited and audited in the core, and operated from the command line.

What would pass its ceiling belongs into a feature, or is two things."""


def test_functions_are_short():
    """Half of all functions fit in eight lines, nine tenths in twenty-five."""
    lengths = [function.lines for module in package() for function in functions(module)]
    assert median(lengths) <= MEDIAN
    assert quantiles(lengths, n=10)[-1] <= MOST


def test_no_function_passes_the_hard_stop():
    """A function of more than sixty lines is several functions."""
    long = [function for module in package() for function in functions(module) if function.lines > LONGEST]
    assert not [f"{function.where} {function.name}: {function.lines} lines" for function in long]


def test_no_module_passes_the_hard_stop():
    """A module of more than five hundred lines is several modules."""
    assert not [f"{module.path}: {module.lines} lines" for module in package() if module.lines > LONGEST_MODULE]


@pytest.mark.parametrize(("room", "ceiling"), CEILINGS.items())
def test_rooms_stay_below_their_ceilings(room, ceiling):
    """A room that grows past its ceiling has taken in what belongs elsewhere."""
    inside = [module for module in package() if f"{module.name}.".startswith(f"{room}.")]
    assert sum(module.lines for module in inside) <= ceiling


def test_a_function_is_measured_without_its_docstring():
    """Saying more about a function does not make it longer."""
    (function,) = functions(parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n'))
    assert function.lines == 2
