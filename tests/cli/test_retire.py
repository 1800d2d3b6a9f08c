"""`rimlock key brownout` and what follows it, as they are told at a terminal."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.req("L1", "L12")

FELT = "felt on routes that are optional or required; open and observe let it through"


def test_whoever_browns_a_key_out_is_told_where_it_is_felt(terminal):
    """A brownout while everything is observed is felt by nobody, so the command says where it would be."""
    browned = terminal("key", "brownout", "kind:key", "--for", "10m")
    assert (browned.code, browned.out.startswith("kind:key: brownout"), FELT in browned.err) == (0, True, True)
    assert FELT in terminal("key", "refuse", "kind:key").err
    assert FELT not in terminal("key", "deprecate", "kind:key").err
    assert FELT not in terminal("key", "refuse", "kind:key", "--json").err


def test_an_accepted_key_is_told_without_the_dates_it_had(terminal):
    """Whoever takes a retirement back is not shown a sunset that no longer holds."""
    assert "sunset 2999-01-31" in terminal("key", "deprecate", "kind:key", "--sunset", "2999-01-31").out
    assert terminal("key", "accept", "kind:key").out == "kind:key: accept\n"
