"""No password and no one-time secret leaves a trace: in logs, events, representations or answers."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient

from features.password.office import bearer, installed
from rimlock.features.password import logic, routes

CANARY = "Kanarienvogel-5417"
SECOND = "Zebrafink-9932-blau"


@pytest.mark.attack("secret in a log")
def test_a_canary_password_sings_nowhere(database_url, caplog):
    """Every flow, right and wrong, with a password that can be recognised: it is in no log, event or answer."""
    caplog.set_level(logging.DEBUG)
    app, auth, events = installed(database_url)
    answers = []
    with TestClient(app) as client:
        token = client.portal.call(logic.first_admin_link, auth.context)

        def post(path, sent, **more):
            answers.append(client.post(path, json=sent, **more))
            return answers[-1]

        names = {"email": "ann@example.com", "username": "ann"}
        post("/auth/register", {**names, "password": CANARY})
        post("/auth/register", {**names, "password": CANARY})
        post("/auth/register", {**names, "password": CANARY[:-5]})
        post("/auth/register", {**names, "password": CANARY, "roles": [CANARY]})
        post("/auth/register", {**names, "password": {"nested": CANARY}})
        post("/auth/register", {**names, "password": CANARY, CANARY: 1})
        post("/auth/login", {"login": CANARY, "password": CANARY})
        post("/auth/login", {"login": "ann", "password": CANARY * 99})
        post("/auth/login", {"login": "ann", "password": CANARY, "transport": CANARY})
        headers = bearer(post("/auth/login", {"login": "ann", "password": CANARY}))
        answers.append(client.post("/auth/token", data={"username": "ann", "password": SECOND}))
        answers.append(client.post("/auth/login", data={"login": "ann", "password": CANARY}))
        post("/auth/password", {"current_password": SECOND, "new_password": SECOND + "!"}, headers=headers)
        post("/auth/password", {"current_password": CANARY, "new_password": CANARY}, headers=headers)
        post("/auth/email", {"new_email": "ann@example.org", "password": SECOND}, headers=headers)
        post("/auth/first-admin", {"email": "ann@example.com", "token": token, "password": CANARY})
        post("/auth/first-admin", {"email": "r@example.com", "token": token, "password": CANARY, "x": CANARY})
        answers.append(client.patch("/auth/me", json={"password": CANARY, CANARY: CANARY}, headers=headers))
        answers.append(client.request("DELETE", "/auth/me", json={"password": SECOND}, headers=headers))
        headers = bearer(post("/auth/password", {"current_password": CANARY, "new_password": SECOND}, headers=headers))
        answers.append(client.request("DELETE", "/auth/me", json={"password": SECOND}, headers=headers))
    # The test's own client logs the addresses it asks for; the link is in none of them here.
    told = [record.getMessage() + str(record.args) + str(record.exc_text) for record in caplog.records]
    told += [repr(event) + str(event.facts()) for event in events]
    told += [answer.text + str(answer.headers) for answer in answers]
    assert len(events) > 10
    for secret in (CANARY, CANARY[:-5], SECOND, token, token.split(".")[1]):
        assert not [text for text in told if secret in text]
    assert {answer.status_code for answer in answers} == {200, 201, 204, 400, 401, 403, 409, 415, 422}


def test_forms_show_no_secret_when_they_are_printed():
    """A form that lands in a traceback or a debugger shows no password and no one-time secret."""
    forms = [
        routes.RegistrationForm(email="a@example.com", password=CANARY),
        routes.LoginForm(login="ann", password=CANARY),
        routes.PasswordForm(current_password=CANARY, new_password=CANARY),
        routes.EmailForm(new_email="a@example.com", password=CANARY),
        routes.FirstAdminForm(token=CANARY, email="a@example.com", password=CANARY),
    ]
    assert not [form for form in forms if CANARY in repr(form) or CANARY in str(form)]
