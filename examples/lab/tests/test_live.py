"""The WebSocket of live results."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect


def test_a_listener_first_gets_a_snapshot(client, record):
    """The newest results come at once, newest first."""
    recorded = [record(recorded_at=f"2026-03-0{day}T08:00:00Z") for day in (1, 2, 3)]
    with client.websocket_connect("/ws/results?latest=2") as socket:
        assert socket.receive_json() == {"type": "snapshot", "analyses": [recorded[2], recorded[1]]}


def test_a_new_result_is_announced_to_every_listener(client, record):
    """Two listeners, one result, two announcements that equal the stored row."""
    with client.websocket_connect("/ws/results") as one, client.websocket_connect("/ws/results") as other:
        assert one.receive_json() == other.receive_json() == {"type": "snapshot", "analyses": []}
        recorded = record()
        assert one.receive_json() == other.receive_json() == {"type": "analysis", "analysis": recorded}


def test_results_arrive_in_the_order_they_were_recorded(app, client, record):
    """Also when the application was started properly and the listener talks."""
    with TestClient(app, headers=client.headers) as running, running.websocket_connect("/ws/results") as socket:
        socket.receive_json()
        socket.send_text("hello")
        recorded = [record(result=result) for result in (1, 2, 3)]
        assert [socket.receive_json()["analysis"] for _ in recorded] == recorded


def test_a_refused_result_is_not_announced(client, keyed, record, instrument):
    """The next message is the next result that was stored."""
    with client.websocket_connect("/ws/results") as socket:
        socket.receive_json()
        strange = {
            "sample": "X",
            "instrument_id": instrument,
            "method": "ph",
            "result": 99,
            "recorded_at": "2026-03-01",
        }
        assert keyed.post("/analyses", json=strange).status_code == 422
        recorded = record()
        assert socket.receive_json()["analysis"] == recorded


def test_a_listener_that_left_does_not_disturb_the_writer(client, record):
    """Recording works after a listener has gone."""
    with client.websocket_connect("/ws/results") as socket:
        socket.receive_json()
    assert record()["id"] == 1


@pytest.mark.parametrize("latest", ["-1", "101", "many"])
def test_a_socket_that_asks_for_too_much_is_closed(client, latest):
    """A parameter that cannot be is a policy violation."""
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect(f"/ws/results?latest={latest}"):
        pass
    assert closed.value.code == 1008
