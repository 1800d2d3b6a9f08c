"""What an answer says to whoever sends a credential on its way out, and to nobody else."""

from __future__ import annotations

import pytest
from fastapi import Header, HTTPException
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from retirement.retiring_host import PAGE, eventually, fitted, guarded, host, new_key, now_until, retire, written
from rimlock import Rule, Stage
from rimlock.core import retiring, usage
from rimlock.core.retirements import Phase
from rimlock.core.windows import Window
from rimlock.testing import sign_in
from rimlock.web.refusals import RequestRefused

pytestmark = pytest.mark.req("L1", "L12")
SUNSET = 1_900_000_000
TOLD = {
    "deprecation": "@1700000000",
    "sunset": "Sun, 17 Mar 2030 17:46:40 GMT",
    "link": f'<{PAGE}>; rel="deprecation"; type="text/html", <{PAGE}>; rel="sunset"; type="text/html"',
}
PATHS = [
    "/plain",
    "/mine",
    "/missing",
    "/overloaded",
    "/unchanged",
    "/streamed",
    "/sub/route",
    "/files/page.txt",
    "/nowhere",
]


def told(answer):
    """What an answer says of a retirement."""
    return {name: answer.headers[name] for name in TOLD if name in answer.headers}


@pytest.mark.parametrize("stage", list(Stage))
def test_every_kind_of_answer_tells_the_sender_of_the_key_and_nobody_else(database_url, tmp_path, stage):
    """2xx, 304, 4xx, 5xx, a stream, files, a mounted application, our own routes; at every stage."""
    auth, app = fitted(database_url, tmp_path, rules=[Rule(pattern="/**", stage=stage)])
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        _, other = new_key(client, auth, "another")
        ann = sign_in(auth, client)
        retire(client, auth, old, sunset_at=SUNSET)
        for path in [*PATHS, "/auth/api-keys", "/auth/nowhere"]:
            answer = client.get(path, headers=sends)
            assert told(answer) == TOLD, (path, answer.status_code)
            assert told(client.get(path, headers=other)) == {}, path
            assert told(client.get(path, headers=ann.headers)) == {}, path
            assert told(client.get(path)) == {}, path
        assert told(client.head("/files/page.txt", headers=sends)) == TOLD
        with client.websocket_connect("/live", headers=sends) as socket:
            assert dict(socket.extra_headers or {})[b"deprecation"] == b"@1700000000"


def test_the_first_request_to_an_open_route_is_told_though_it_waits_for_nobody(database_url, tmp_path):
    """A key this process never met is looked up beside the request; also where usage is not counted."""
    for counted in (True, False):
        auth, app = fitted(database_url, tmp_path, usage=counted)
        with TestClient(app) as client:
            old, sends = new_key(client, auth)
            retire(client, auth, old, sunset_at=SUNSET)
            assert told(client.get("/plain", headers=sends)) == TOLD


def test_what_the_host_says_itself_stays(sqlite_url, tmp_path):
    """Its Deprecation and Sunset stand alone, since two would void both; links of both are there."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, sunset_at=SUNSET)
        answer = client.get("/own-words", headers=sends)
        assert answer.headers.get_list("deprecation") == ["@5"]
        assert answer.headers.get_list("sunset") == ["Fri, 01 Jan 2027 00:00:00 GMT"]
        assert answer.headers.get_list("link") == ['</v2>; rel="successor-version"', TOLD["link"]]


def test_a_cache_keeps_the_notice_for_who_sent_the_key(sqlite_url, tmp_path):
    """An answer that anybody may have differs by the headers credentials come in; otherwise all would be told."""
    auth, app = fitted(sqlite_url, tmp_path, api_key_query=["api_key"])
    app.get("/shared")(lambda: JSONResponse("ok", headers={"Cache-Control": "public, max-age=60", "Vary": "Origin"}))
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        assert client.get("/shared").headers["vary"] == "Origin"
        retire(client, auth, old, sunset_at=SUNSET)
        varied = client.get("/shared", headers=sends).headers.get_list("vary")
        assert varied == ["Origin", "authorization, x-api-key"]
        assert client.get("/shared").headers["vary"] == "Origin"


def test_an_error_that_an_application_raises_again_and_again_keeps_no_notice(sqlite_url, tmp_path):
    """One instance for all requests: what it is told with for one caller must not reach the next."""
    gone = HTTPException(410, "gone", {"X-Reason": "old"})

    async def raising(scope, receive, send):
        raise gone

    auth, app = fitted(sqlite_url, tmp_path)
    app.mount("/raw", raising)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, sunset_at=SUNSET)
        first = client.get("/raw/x", headers=sends)
        assert (first.status_code, first.json(), told(first)) == (410, {"detail": "gone"}, TOLD)
        second = client.get("/raw/x")
        assert (second.status_code, second.headers["x-reason"], told(second)) == (410, "old", {})


@pytest.mark.parametrize("percent", [30, 50, 70])
def test_a_share_is_the_same_for_every_address_of_a_network(sqlite_url, tmp_path, percent):
    """A program whose machine takes another IPv6 address each day is refused throughout the brownout, or never."""
    auth, app = fitted(sqlite_url, tmp_path, rules=[Rule(pattern="/plain", stage=Stage.REQUIRED)])
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, Phase.BROWNOUT, percent=percent, windows=now_until(auth))
        visitors = [TestClient(app, client=(f"2001:db8::{n:x}", 1)) for n in range(12)]
        assert len({visitor.get("/plain", headers=sends).status_code for visitor in visitors}) == 1


def test_a_date_ahead_is_announced_and_no_page_is_no_link(sqlite_url, tmp_path):
    """RFC 9745 lets the date lie ahead; without page and sunset there is the one header."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, deprecated_at=SUNSET, link="")
        assert told(client.get("/plain", headers=sends)) == {"deprecation": f"@{SUNSET}"}


@pytest.mark.parametrize("stage", list(Stage))
def test_a_brownout_is_felt_where_credentials_are_looked_at(database_url, tmp_path, stage):
    """401 with the page and when to try again at optional and required; recorded before; undone by one step."""
    auth, app = fitted(database_url, tmp_path, rules=[Rule(pattern="/plain", stage=stage)])
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        assert client.get("/plain", headers=sends).status_code == 200
        retire(client, auth, old, Phase.BROWNOUT, sunset_at=SUNSET, windows=now_until(auth))
        felt = stage in {Stage.OPTIONAL, Stage.REQUIRED}
        answer = client.get("/plain", headers=sends)
        assert answer.status_code == (401 if felt else 200)
        assert told(client.get("/plain", headers=sends)) == TOLD
        if felt:
            assert PAGE in answer.json()["detail"]
            assert 1 <= int(answer.headers["retry-after"]) <= 600
            assert "www-authenticate" in answer.headers
        assert client.get("/plain").status_code == (401 if stage is Stage.REQUIRED else 200)
        client.portal.call(auth.flush)
        seen = client.portal.call(auth.database.read, usage.seen)
        assert ("key", old, "credential_retired") in {(one.credential, one.credential_id, one.outcome) for one in seen}
        written(client, auth, lambda tx: retiring.back(tx, actor="cli:test", now=auth.context.now()))
        eventually(lambda: client.get("/plain", headers=sends).status_code, 200)


def test_a_dependency_on_an_open_route_refuses_with_the_same_answer(sqlite_url, tmp_path):
    """The route asks for a principal; in a brownout the key is none, and the refusal says why."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, Phase.BROWNOUT, sunset_at=SUNSET, windows=now_until(auth))
        answer = client.get("/mine", headers=sends)
        assert (answer.status_code, told(answer)) == (401, TOLD)
        assert client.get("/plain", headers=sends).status_code == 200


def test_a_refusal_is_told_with_the_key_it_met(sqlite_url, tmp_path):
    """Observers and the log hear whose key was refused at a required route: the one that is being retired."""
    heard = []
    auth, app = fitted(sqlite_url, tmp_path, rules=[Rule(pattern="/plain", stage=Stage.REQUIRED)])
    auth.on(RequestRefused, heard.append)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, Phase.REFUSED, sunset_at=SUNSET)
        assert client.get("/plain", headers=sends).status_code == 401
    assert [(one.code, one.credential, one.key_id) for one in heard] == [("credential_retired", "key", old)]


def test_our_own_routes_refuse_with_a_problem_that_names_the_page(sqlite_url, tmp_path):
    """The problem document has the code, and each header once."""
    auth, app = fitted(sqlite_url, tmp_path)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, Phase.REFUSED, sunset_at=SUNSET)
        answer = client.get("/auth/api-keys", headers=sends)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_retired")
        assert answer.headers.get_list("deprecation") == ["@1700000000"]
        assert PAGE in answer.json()["detail"]
        assert "retry-after" not in answer.headers


def test_the_hosts_own_check_does_not_carry_a_key_through_its_brownout(database_url, tmp_path):
    """The old check, adopted, would let the key pass; at optional the brownout is felt all the same."""
    app = host(tmp_path)
    held = {}

    def check(x_api_key: str = Header("")):
        if x_api_key != held["key"]:
            raise HTTPException(401)

    guarded(app, check)
    auth, _ = fitted(database_url, tmp_path, app=app, rules=[Rule(pattern="/checked", stage=Stage.OPTIONAL)])
    auth.adopt(app, check)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        held["key"] = sends["X-API-Key"]
        retire(client, auth, old, Phase.BROWNOUT, windows=now_until(auth))
        refused = [client.get("/checked", headers=sends | more) for more in ({}, {"Authorization": "Bearer rl_no"})]
        assert [one.status_code for one in refused] == [401, 401]
        assert all(PAGE in one.json()["detail"] for one in refused)


def test_a_key_beside_a_token_is_told_and_counts_as_any_bad_credential_beside_a_good_one(database_url, tmp_path):
    """The token counts, and whoever sends the key beside it hears of it.

    Its brownout refuses at required, as its end will, and is only recorded before.
    """
    rules = [Rule(pattern="/plain", stage=Stage.REQUIRED), Rule(pattern="/sub/**", stage=Stage.OPTIONAL)]
    auth, app = fitted(database_url, tmp_path, rules=rules)
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        ann = sign_in(auth, client)
        retire(client, auth, old, sunset_at=SUNSET)
        both = sends | ann.headers
        assert told(client.get("/plain", headers=both)) == TOLD
        assert told(client.get("/plain", headers=ann.headers)) == {}
        assert client.get("/plain", headers=both).status_code == 200
        retire(client, auth, old, Phase.BROWNOUT, sunset_at=SUNSET, windows=now_until(auth))
        assert client.get("/plain", headers=both).status_code == 401
        optional = client.get("/sub/route", headers=both)
        assert (optional.status_code, told(optional)) == (200, TOLD)
        assert client.get("/plain", headers=ann.headers).status_code == 200


def test_websockets_are_refused_with_the_notice_where_they_can_carry_one(sqlite_url, tmp_path):
    """A denial response has headers."""
    auth, app = fitted(sqlite_url, tmp_path, rules=[Rule(pattern="/live", stage=Stage.REQUIRED)])
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        retire(client, auth, old, Phase.REFUSED, sunset_at=SUNSET)
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/live", headers=sends):
            pass
        assert told(denied.value) == TOLD


def test_a_schedule_moves_by_itself(sqlite_url, tmp_path, clock):
    """Deprecated, browned out, refused after a sunset that was meant; and back again when the clock is set back."""
    auth, app = fitted(sqlite_url, tmp_path, clock=clock, rules=[Rule(pattern="/plain", stage=Stage.REQUIRED)])
    start = int(clock())
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        window = (Window(start=start + 60, end=start + 120),)
        retire(client, auth, old, Phase.BROWNOUT, sunset_at=start + 300, windows=window, refuse_after_sunset=True)

        def status(after):
            clock.advance(start + after - clock())
            return client.get("/plain", headers=sends)

        answers = [(at, status(at).status_code) for at in (0, 59, 60, 119, 120, 299, 300, 9999, 200, 61)]
        good = {0, 59, 120, 299, 200}
        assert all((code == 200) is (at in good) for at, code in answers), answers
        assert status(61).headers["retry-after"] == "59"


def test_a_sunset_that_is_only_announced_refuses_nobody(sqlite_url, tmp_path, clock):
    """Unless the operator said so, the date is a word to the holders; the report calls it overdue."""
    auth, app = fitted(sqlite_url, tmp_path, clock=clock, rules=[Rule(pattern="/plain", stage=Stage.REQUIRED)])
    with TestClient(app) as client:
        old, sends = new_key(client, auth)
        made = retire(client, auth, old, sunset_at=int(clock()) + 10)
        clock.advance(3600)
        assert client.get("/plain", headers=sends).status_code == 200
        assert made.said is not None
        assert made.said.overdue(clock())


def test_a_kind_is_retired_and_one_key_of_it_is_exempt(database_url, tmp_path):
    """All keys are refused but the one that was accepted by name; tokens never notice."""
    auth, app = fitted(database_url, tmp_path, rules=[Rule(pattern="/plain", stage=Stage.REQUIRED)])
    with TestClient(app) as client:
        (_, one), (spared, other) = new_key(client, auth, "one"), new_key(client, auth, "other")
        ann = sign_in(auth, client)
        retire(client, auth, spared, Phase.ACCEPT)
        retire(client, auth, "kind:key", Phase.REFUSED)
        assert client.get("/plain", headers=one).status_code == 401
        assert client.get("/plain", headers=other).status_code == 200
        assert told(client.get("/plain", headers=other)) == {}
        assert client.get("/plain", headers=ann.headers).status_code == 200
