"""The template's own table stays where it is: the dialect reads it, writes it, and adds nothing to it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import select

from mapped_users.hosts import made, template
from profiles.full_stack_template.office import API, BETTER, GOOD, office, old_token, signed_in
from rimlock import MappedUsers

pytestmark = [pytest.mark.req("L9", "L11")]

BORN = datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
HASHED = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(GOOD)


def lived_in(url):
    """Make the template's table with two people in it; return it and their ids."""
    host, ann, root = template(), uuid.uuid4(), uuid.uuid4()
    row = {"is_active": True, "hashed_password": HASHED, "created_at": BORN}
    people = [
        {**row, "id": ann, "email": "ann@example.com", "is_superuser": False, "full_name": "Ann"},
        {**row, "id": root, "email": "root@example.com", "is_superuser": True, "full_name": None},
    ]
    asyncio.run(made(url, host, people))
    return host.table, str(ann), str(root)


def test_people_of_the_table_come_and_go_as_before(database_url, clock):
    """Old passwords, old ids, old tokens; what changes is in the table, and a new superuser has the flag there."""
    host, ann_id, _ = lived_in(database_url)
    users = MappedUsers(host, display_name="full_name", created_at="created_at")
    app, auth, box = office(database_url, clock, legacy=True, users=users)
    with TestClient(app) as client:
        root = signed_in(client, "root@example.com")
        for headers in (signed_in(client, "ann@example.com"), old_token(ann_id, clock)):
            assert client.get(f"{API}/users/me", headers=headers).json() == {
                "email": "ann@example.com",
                "is_active": True,
                "is_superuser": False,
                "full_name": "Ann",
                "id": ann_id,
                "created_at": "2026-08-21T09:30:00Z",
            }
        whole = client.get(f"{API}/users/?skip=1&limit=5", headers=root).json()
        assert (whole["count"], len(whole["data"])) == (2, 1)
        sent = {"is_superuser": True, "full_name": "Anna", "email": "anna@example.com"}
        assert client.patch(f"{API}/users/{ann_id}", json=sent, headers=root).status_code == 200
        new = {"email": "new@example.com", "password": BETTER}
        assert client.post(f"{API}/users/", json=new, headers=root).status_code == 200
        token = box.link("new@example.com", "reset_password").partition("?token=")[2]
        assert client.post(f"{API}/reset-password/", json={"token": token, "new_password": BETTER}).status_code == 200
        signed_in(client, "new@example.com", BETTER)
        found = client.portal.call(auth.database.read, lambda tx: [dict(row) for row in tx.all(select(host))])
        by_email = {row["email"]: row for row in found}
        assert (by_email["anna@example.com"]["is_superuser"], by_email["anna@example.com"]["full_name"]) == (
            True,
            "Anna",
        )
        assert client.delete(f"{API}/users/{ann_id}", headers=root).status_code == 200
        assert client.get(f"{API}/users/{ann_id}", headers=root).status_code == 404
