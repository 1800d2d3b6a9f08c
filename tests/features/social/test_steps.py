"""The steps of a sign-in without HTTP, as another system's dialect takes them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from features.social.office import API, APP, at, installed, of_kind, stub
from rimlock.core.login import SignedIn
from rimlock.core.sessions import Device, SessionStarted
from rimlock.features.social import social_of
from rimlock.features.social.errors import StateRefused

__all__ = ["stub"]
pytestmark = [pytest.mark.req("L10", "F1", "F2"), pytest.mark.anyio]


async def test_a_dialect_takes_the_steps_at_addresses_of_its_own(sqlite_url, clock, stub):
    """Begin with its own way back, remember, finish, and come in at once: no code, no cookie of ours."""
    app, auth, events = installed(sqlite_url, clock)
    await auth.start()
    social = social_of(auth.context, [at(stub)])
    try:
        begun = await social.begin("stub", next="/auth", redirect_uri=f"{API}/oauth/callback/stub")
        asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.url).query).items()}
        assert asked["redirect_uri"] == f"{API}/oauth/callback/stub"
        assert stub.url not in begun.carried
        brought = stub.authorize(begun.url)
        transaction = social.recall("stub", brought, begun.carried)
        assert (transaction.next, transaction.purpose) == (f"{APP}/auth", "login")
        person = await social.finish(transaction, brought)
        assert (person.subject, person.email, person.proven) == ("subject-1", "ann@example.com", True)
        outcome = await social.enter(person, Device())
        assert isinstance(outcome, SignedIn)
        with pytest.raises(StateRefused):
            await social.finish(transaction, brought)
        for carried in (None, "", begun.carried[:-2] + "AA"):
            with pytest.raises(StateRefused):
                social.recall("stub", brought, carried)
    finally:
        await social.close()
        await auth.stop()
    assert len(of_kind(events, SessionStarted)) == 1
    assert app.routes


async def test_nothing_of_a_step_is_shown_where_it_is_printed(sqlite_url, clock, stub):
    """Neither the state, the nonce and the verifier, nor what the browser carries."""
    _, auth, _ = installed(sqlite_url, clock)
    await auth.start()
    social = social_of(auth.context, [at(stub)])
    try:
        begun = await social.begin("stub")
        transaction = social.recall("stub", stub.authorize(begun.url), begun.carried)
        code = await social.hand_out(transaction, await social.finish(transaction, stub.authorize(begun.url)))
        shown = repr((begun, transaction, code))
        secrets = (begun.carried, transaction.state, transaction.nonce, transaction.verifier, code.token, code.binding)
        assert not [one for one in secrets if one and one in shown]
    finally:
        await social.close()
        await auth.stop()
