"""The application's own routes: who may use them, and what a plan opens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient


def user_id(client: TestClient, member: dict[str, str]) -> str:
    """Return the id of the user who is signed in."""
    return str(client.get("/auth/get-user", headers=member).json()["id"])


def test_common_passwords_are_refused_in_service(client: TestClient) -> None:
    """What the documents use as a password is on every list: 422."""
    body = {"username": "testuser", "email": "test@example.com", "password": "password123"}
    assert client.post("/auth/create-user", json=body).status_code == 422


def test_a_plan_opens_what_is_paid_for(client: TestClient, member: dict[str, str], notify: Callable[..., Any]) -> None:
    """402 before, 200 with the plan, 402 again once it is cancelled; the block is seen under /account too."""
    assert client.get("/insights").status_code == 401
    assert client.get("/insights", headers=member).status_code == 402
    assert notify(user_id=user_id(client, member), next_renewal=2_000_000_000).json() == {"status": "taken"}
    assert client.get("/insights", headers=member).json()["for"] == "ann"
    assert client.get("/billing", headers=member).json()["plan"] == "pro"
    assert client.get("/account/subscription", headers=member).json()["customer_id"] == "cus_1"
    assert notify(created=2_000, status="canceled").json() == {"status": "taken"}
    assert client.get("/insights", headers=member).status_code == 402


def test_notices_come_twice_and_late(client: TestClient, member: dict[str, str], notify: Callable[..., Any]) -> None:
    """A notice from before the last one changes nothing; one of an unknown customer neither."""
    notify(user_id=user_id(client, member), created=1_000)
    for _ in range(2):
        notify(created=2_000, status="canceled")
    notify(created=1_500, status="active")
    assert client.get("/billing", headers=member).json()["status"] == "canceled"
    assert notify(customer_id="cus_2").json() == {"status": "unknown"}


@pytest.mark.parametrize("status", ["active", "anything"])
def test_only_the_payment_provider_is_believed(
    client: TestClient, member: dict[str, str], notify: Callable[..., Any], status: str
) -> None:
    """A notice that is not signed with the shared secret gives nobody a plan."""
    assert notify(signed=False, user_id=user_id(client, member), status=status).status_code == 400
    assert client.get("/insights", headers=member).status_code == 402


def test_what_people_say_about_themselves(client: TestClient, member: dict[str, str]) -> None:
    """The fields of this application, and no others."""
    profile = {"display_name": "Ann", "bio": "Boats.", "niche_preference": "sailing", "avatar_url": None}
    answer = client.patch("/auth/update-user", json=profile, headers=member)
    assert (answer.status_code, answer.json()) == (200, profile)
    assert client.patch("/auth/update-user", json={"bio": 7}, headers=member).status_code == 422
