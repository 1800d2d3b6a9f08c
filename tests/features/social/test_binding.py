"""One sign-in belongs to one browser, one provider, one moment and one purpose; its code to one page, once."""

from __future__ import annotations

import asyncio
import logging

import httpx2
import pytest

from features.social.office import (
    API,
    APP,
    at,
    attempt,
    browser,
    come_back,
    fetch,
    installed,
    leave,
    of_kind,
    signed_in,
    stub,
    told,
)
from features.social.stub import standing
from rimlock.core.registering import UserRegistered
from rimlock.core.sessions import SessionStarted
from rimlock.features.social.events import SocialLoginFailed

__all__ = ["stub"]
pytestmark = [pytest.mark.req("L10", "F2"), pytest.mark.asvs("10.2.1", "10.2.2", "10.2.3")]
REFUSED = {"error": "social_state_refused"}


@pytest.mark.attack("login CSRF")
def test_an_answer_in_another_browser_signs_nobody_in(sqlite_url, clock, stub):
    """An attacker's own answer, put before somebody else, leads nowhere; and it is not used up by that."""
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as attacker, browser(app) as victim:
        brought = stub.authorize(leave(attacker))
        back = come_back(victim, brought)
        assert back.headers["location"] == f"{APP}/?error=social_state_refused"
        assert told(come_back(attacker, brought)).keys() == {"code"}
    assert not of_kind(events, SessionStarted)


@pytest.mark.attack("login CSRF")
def test_an_answer_does_not_fit_another_sign_in_of_the_same_browser(sqlite_url, clock, stub):
    """The victim has a sign-in of their own under way: the attacker's answer still is not theirs."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as attacker, browser(app) as victim:
        brought = stub.authorize(leave(attacker))
        leave(victim)
        assert told(come_back(victim, brought)) == REFUSED


@pytest.mark.parametrize(
    "change",
    [
        {"state": None},
        {"state": ""},
        {"state": "s" * 43},
        {"state": "é"},
        {"state": "s" * 10_000},
    ],
)
def test_an_answer_names_the_sign_in_it_belongs_to(sqlite_url, clock, stub, change):
    """Without `state`, or with another one, it belongs to none; the provider is not asked."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        brought = {**stub.authorize(leave(client)), **change}
        brought = {name: value for name, value in brought.items() if value is not None}
        assert told(come_back(client, brought)) == REFUSED
    assert "/token" not in stub.asked


def test_without_pages_of_its_own_the_refusal_is_an_answer(sqlite_url, clock, stub):
    """There is no page to go back to that anybody but a stranger named."""
    app, _, _ = installed(sqlite_url, clock, at(stub), frontend_url="")
    with browser(app) as client:
        answer = come_back(client, {"state": "s" * 43, "code": "c"})
    assert (answer.status_code, answer.json()["code"]) == (400, "social_state_refused")


@pytest.mark.attack("replay")
def test_an_answer_counts_once(database_url, clock, stub):
    """The second time it is refused, before the provider is asked, though the browser still has its cookie."""
    app, _, _ = installed(database_url, clock, at(stub))
    with browser(app) as client:
        brought = stub.authorize(leave(client))
        kept = dict(client.cookies)
        assert "code" in told(come_back(client, brought))
        client.cookies.update(kept)
        asked = stub.asked.count("/token")
        assert told(come_back(client, brought)) == REFUSED
    assert stub.asked.count("/token") == asked


@pytest.mark.attack("race")
@pytest.mark.anyio
async def test_of_many_at_once_one_answer_counts_and_one_code(database_url, clock, stub):
    """Twenty times the same answer: one code. Twenty times the same code: one session, one account."""
    app, auth, events = installed(database_url, clock, at(stub))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=API) as client:
        try:
            begun = await client.get("/auth/oauth/stub")
            brought, kept = stub.authorize(begun.headers["location"]), dict(client.cookies)
            cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}
            backs = await asyncio.gather(
                *(client.get("/auth/oauth/callback/stub", params=brought, headers=cookie) for _ in range(20))
            )
            (code,) = [found["code"] for found in map(told, backs) if "code" in found]
            binding = next(one for back in backs for one in back.headers.get_list("set-cookie") if "-code-" in one)
            holder = {"Cookie": binding.partition(";")[0]}
            answers = await asyncio.gather(
                *(client.post("/auth/oauth/exchange", json={"code": code}, headers=holder) for _ in range(20))
            )
        finally:
            await auth.stop()
    assert stub.asked.count("/token") == 1
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19
    assert len(of_kind(events, SessionStarted)) == len(of_kind(events, UserRegistered)) == 1


def test_two_tabs_come_in_both(sqlite_url, clock, stub):
    """Each sign-in has a cookie of its own; the one that ends takes nothing from the other."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        first, second = (stub.authorize(leave(client, next=f"/{tab}")) for tab in "ab")
        backs = [come_back(client, brought) for brought in (second, first)]
        assert [back.headers["location"].partition("?")[0] for back in backs] == [f"{APP}/b", f"{APP}/a"]
        assert {fetch(client, told(back)["code"]).status_code for back in backs} == {200}


def test_sign_ins_that_are_never_finished_do_not_pile_up(sqlite_url, clock, stub):
    """A page that sends the browser here again and again fills no header: a few cookies, and the last one counts."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        for _ in range(23):
            brought = stub.authorize(leave(client))
            assert len([name for name in client.cookies if "-oauth-" in name]) <= 5
        assert "code" in told(come_back(client, brought))


@pytest.mark.attack("header injection")
def test_cookies_of_others_are_not_repeated(sqlite_url, clock, stub):
    """What looks like one of ours, and has another form, is left alone: no header of ours is made of it."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    strange = "; ".join(f"__Host-rimlock-oauth-{name}=x" for name in ("<b>", "a,b", "A" * 70, "é", "x y", "z:z"))
    with browser(app) as client:
        answer = client.get("/auth/oauth/stub", headers={"Cookie": strange.encode("latin-1")})
    assert len(answer.headers.get_list("set-cookie")) == 1


def test_a_sign_in_takes_ten_minutes_at_most(sqlite_url, clock, stub):
    """Then it was not begun any more."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        early, late = stub.authorize(leave(client)), stub.authorize(leave(client))
        clock.advance(599)
        assert "code" in told(come_back(client, early))
        clock.advance(1)
        assert told(come_back(client, late)) == REFUSED


@pytest.mark.attack("mix-up")
def test_an_answer_of_one_provider_is_refused_at_another(sqlite_url, clock, stub):
    """Each provider has an address of its own to come back to, and what was begun says with whom."""
    with standing(clock) as other:
        app, _, _ = installed(sqlite_url, clock, at(stub), at(other, name="other"))
        with browser(app) as client:
            brought = stub.authorize(leave(client))
            assert told(come_back(client, brought, "other")) == REFUSED
        assert "/token" not in other.asked


@pytest.mark.attack("mix-up")
@pytest.mark.parametrize("iss", ["https://evil.example", "", None])
def test_an_answer_says_whose_it_is_where_that_was_promised(sqlite_url, clock, stub, iss):
    """RFC 9207: another issuer, or none where one was promised, and no code is sent anywhere."""
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        brought = {**stub.authorize(leave(client)), "iss": iss}
        brought = {name: value for name, value in brought.items() if value is not None}
        assert told(come_back(client, brought)) == {"error": "social_provider_failed"}
    assert [event.reason for event in of_kind(events, SocialLoginFailed)] == ["iss"]
    assert "/token" not in stub.asked


def test_an_answer_need_not_say_whose_it_is_where_nobody_promised(sqlite_url, clock, stub):
    """Most providers do not yet; whoever says it all the same says the right one."""
    stub.metadata = {"authorization_response_iss_parameter_supported": False}
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        plain = stub.authorize(leave(client))
        del plain["iss"]
        assert "code" in told(come_back(client, plain))
        wrong = stub.authorize(leave(client), iss="https://evil.example")
        assert told(come_back(client, wrong)) == {"error": "social_provider_failed"}


@pytest.mark.attack("parameter pollution")
@pytest.mark.parametrize("name", ["code", "state", "iss"])
def test_a_parameter_that_is_there_twice_is_none(sqlite_url, clock, stub, name):
    """Two readers could take two of them."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        brought = stub.authorize(leave(client))
        answer = client.get("/auth/oauth/callback/stub", params=[*brought.items(), (name, brought[name])])
    assert told(answer) == REFUSED


@pytest.mark.parametrize("code", ["", None, "c" * 5000, "a\x00b"])
def test_an_answer_without_a_code_is_no_answer(sqlite_url, clock, stub, code):
    """Neither error nor code, or one that cannot be."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        brought = {**stub.authorize(leave(client)), "code": code}
        brought = {name: value for name, value in brought.items() if value is not None}
        assert told(come_back(client, brought)) == {"error": "social_provider_failed"}
    assert "/token" not in stub.asked


def test_a_cookie_that_was_changed_is_none(sqlite_url, clock, stub):
    """Nothing of it can be read or written by whoever carries it, nor is it good under another installation's key."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        brought = stub.authorize(leave(client))
        (name,) = client.cookies
        value = client.cookies[name]
        for changed in (value[:-4] + "AAAA", value[:40], "", "A" * 300, "%%%"):
            answer = client.get("/auth/oauth/callback/stub", params=brought, headers={"Cookie": f"{name}={changed}"})
            assert told(answer) == REFUSED


@pytest.mark.attack("code injection")
def test_a_code_of_the_address_is_worth_nothing_in_another_browser(sqlite_url, clock, stub):
    """Whoever reads it in a log, a history or a Referer cannot fetch the tokens; the page it is for still can."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as victim, browser(app) as thief:
        code = attempt(victim, stub)["code"]
        assert fetch(thief, code).json()["code"] == "challenge_refused"
        theirs = attempt(thief, stub)["code"]
        assert fetch(victim, theirs).json()["code"] == "challenge_refused"
        assert fetch(thief, code, code_verifier="v" * 43).json()["code"] == "challenge_refused"
        assert fetch(victim, code).status_code == 200


def test_access_logs_show_neither_code_nor_state(sqlite_url, clock, stub, caplog):
    """Of the provider or of ours: the lines a server writes of our addresses do not hold them."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app), caplog.at_level(logging.INFO, logger="uvicorn.access"):
        line = '%s - "%s %s HTTP/%s" %d', "127.0.0.1", "GET", "/auth/oauth/callback/stub?code=c-1&state=s-1", "1.1", 302
        logging.getLogger("uvicorn.access").info(*line)
    assert "/auth/oauth/callback/stub?code=" in caplog.text
    assert "c-1" not in caplog.text
    assert "s-1" not in caplog.text


def test_a_code_is_good_for_a_minute(sqlite_url, clock, stub):
    """And nothing else of ours is good in its place."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        code = attempt(client, stub)["code"]
        clock.advance(60)
        assert fetch(client, code).json()["code"] == "challenge_refused"
        for other in ("", "x", "0" * 32 + "." + "A" * 43):
            assert fetch(client, other).json()["code"] == "challenge_refused"


def test_guessing_codes_is_counted(sqlite_url, clock, stub):
    """From one address, at the usual rate; so is what a provider could not confirm."""
    app, _, _ = installed(sqlite_url, clock, at(stub), login_rate=3)
    with browser(app) as client:
        found = [fetch(client, "0" * 32 + "." + "A" * 43).json()["code"] for _ in range(4)]
        assert found == ["challenge_refused"] * 3 + ["too_many_attempts"]
        tried = [told(come_back(client, stub.authorize(leave(client), code="made-up")))["error"] for _ in range(4)]
        assert tried == ["social_provider_failed"] * 3 + ["too_many_attempts"]


def test_fetching_tokens_takes_only_what_is_documented(sqlite_url, clock, stub):
    """No form of another site, no field for a user or a role."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        code = attempt(client, stub)["code"]
        assert client.post("/auth/oauth/exchange", data={"code": code}).status_code == 415
        assert fetch(client, code, user_id="somebody").json()["code"] == "invalid_request"
        assert fetch(client, code, roles=["admin"]).json()["code"] == "invalid_request"
        assert client.get("/auth/oauth/exchange", params={"code": code}).status_code == 404


def test_a_challenge_that_is_none_begins_nothing(sqlite_url, clock, stub):
    """`plain`, or a text of another length, would bind nothing."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        for wrong in ("x", "v" * 44, "v" * 42 + "="):
            assert client.get("/auth/oauth/stub", params={"code_challenge": wrong}).json()["code"] == "invalid_request"


def test_signing_in_again_is_a_session_of_its_own(sqlite_url, clock, stub):
    """No session is taken over from what the browser had before."""
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        first, second = signed_in(client, stub).json(), signed_in(client, stub).json()
    assert first["refresh_token"] != second["refresh_token"]
    assert len({event.session_id for event in of_kind(events, SessionStarted)}) == 2
