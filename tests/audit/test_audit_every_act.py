"""Nothing an administrator does is left out of the audit: every route that changes something is walked."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from audit.office import fitted, rows
from rimlock.testing import sign_in

pytestmark = [pytest.mark.req("F5"), pytest.mark.asvs("16.2.1", "16.3.3")]

USERS, USER = "/auth/admin/users", "/auth/admin/users/{user_id}"
ROLLOUT, RETIREMENTS = "/auth/admin/rollout", "/auth/admin/retirements"
KIND = {"target": "kind:key"}
WINDOW = {"start": "2999-01-01T00:00:00Z", "end": "2999-01-01T01:00:00Z"}
TURN = {"route": "GET /open", "stage": "observe"}
FORMS = {
    ("POST", USERS): {"email": "new@example.com", "roles": ["lab"]},
    ("POST", f"{USER}/temporary-password"): None,
    ("PUT", f"{USER}/roles"): {"roles": ["lab"]},
    ("PUT", f"{USER}/subscription"): {"plan_id": "pro", "status": "active"},
    ("POST", f"{USER}/disable"): None,
    ("POST", f"{USER}/enable"): None,
    ("POST", f"{USER}/unlock"): None,
    ("POST", f"{USER}/approve"): None,
    ("POST", f"{USER}/reject"): None,
    ("DELETE", f"{USER}/sessions"): None,
    ("DELETE", f"{USER}/sessions/{{session_id}}"): None,
    ("DELETE", USER): None,
    ("POST", "/auth/admin/invitations"): {"roles": ["lab"]},
    ("DELETE", "/auth/admin/invitations/{invitation_id}"): None,
    ("PUT", ROLLOUT): TURN,
    ("POST", f"{ROLLOUT}/back"): None,
    ("DELETE", f"{ROLLOUT}/observed"): None,
    ("PUT", RETIREMENTS): {**KIND, "phase": "deprecated"},
    ("POST", f"{RETIREMENTS}/abort"): KIND,
    ("POST", f"{RETIREMENTS}/back"): KIND,
}
BEFORE = {
    ("POST", f"{ROLLOUT}/back"): ("PUT", ROLLOUT, TURN),
    ("POST", f"{RETIREMENTS}/abort"): ("PUT", RETIREMENTS, {**KIND, "phase": "brownout", "windows": [WINDOW]}),
    ("POST", f"{RETIREMENTS}/back"): ("PUT", RETIREMENTS, {**KIND, "phase": "deprecated"}),
}
"""What has to be there before it can be taken back."""


def acts(app):
    """Return every act of administrators, as the document names them."""
    paths = app.openapi()["paths"].items()
    found = {(method.upper(), path) for path, item in paths if "/admin/" in path for method in item}
    return {(method, path) for method, path in found if method != "GET"}


def test_every_act_of_an_administrator_leaves_a_row_that_names_them(database_url):
    """Each succeeds and is told by at least one row: by whom, and where it concerns somebody, whom."""
    app, auth, _ = fitted(database_url, registration="approval")
    assert acts(app) == set(FORMS)
    with TestClient(app) as client:
        root = sign_in(auth, client, roles=["admin"], email="root@example.com")
        for number, (act, form) in enumerate(FORMS.items()):
            if act in BEFORE:
                method, path, given = BEFORE[act]
                assert client.request(method, path, json=given, headers=root.headers).status_code == 200
            who, names = _concerned(auth, client, root, act, f"u{number}@example.com")
            known = len(rows(client, auth))
            answer = client.request(act[0], act[1].format(**names), json=form, headers=root.headers)
            assert answer.is_success, (act, answer.text)
            told = [row for row in rows(client, auth)[known:] if row.actor == f"user:{root.user.id}"]
            assert told, act
            assert who is None or who in {row.subject for row in told}, act


def _concerned(auth, client, root, act, email):
    """Make whatever the path of an act names; return whom it concerns, and the names."""
    if act[1].endswith(("/approve", "/reject")):
        new = {"email": email, "password": "seven green ladders"}
        waiting = client.post("/auth/register", json=new).json()["id"]
        return waiting, {"user_id": waiting}
    if "{user_id}" in act[1]:
        one = sign_in(auth, client, email=email)
        return one.user.id, {"user_id": one.user.id, "session_id": one.session_id}
    if "{invitation_id}" in act[1]:
        made = client.post("/auth/admin/invitations", json={}, headers=root.headers)
        return None, {"invitation_id": made.json()["id"]}
    return None, {}
