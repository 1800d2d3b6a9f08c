"""The same requests to FastAPI Users and to Rimlock, and answers compared field by field.

What differs on purpose is listed here with its reason, and nothing else may.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from profiles.fastapi_users.conversation import ROUTERS_ALONE, STEPS, Said, compared, hold
from profiles.fastapi_users.peers import Answer, ask, python_of_theirs, serving

pytestmark = [pytest.mark.req("L9")]

HERE = Path(__file__).parent
SIDES = ("ours", "profile")

ADDED_HEADERS = {
    "cache-control": "no-store",
    "pragma": "no-cache",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
"""Answers with tokens are not stored (RFC 6749 section 5.1), nor read as something else."""

ADDED_MEMBERS = ("expires_in", "error")
"""RFC 6749 sections 5.1 and 5.2; clients ignore members they do not know."""

ENDED = "every token rests on a session, the password and the rights it was given under, and ends with them"
ON_PURPOSE = {
    "register with a form": "a body that is no JSON is not repeated: there is a password in it",
    "register with a short password": "the password policy of Rimlock counts, beside the application's own",
    "be oneself by the token of before": ENDED,
    "be a new superuser by the token of before": ENDED,
    "be oneself by the token of before the reset": ENDED,
    "be oneself after signing out": ENDED,
    "be oneself by the cookie of before": ENDED,
    "give up the rights of the last superuser": "nobody would be left who could give them back",
}
"""Steps whose answers differ, and why."""

UNLESS_DOCUMENTED = {
    "give ann a weak password": "superusers do not choose passwords for others",
    "change oneself by cookie from another page": "a cookie counts for pages of ours alone",
    "sign in for a cookie from another page": "another page signs nobody in",
}
"""Those that differ unless the documented form is asked for by name, as the application with its own routers does."""

PROFILE_ALONE = {"see oneself with a slash": "the host's own router redirects to its own routes only"}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> list[Said]:
    """Everything FastAPI Users says."""
    with _served("theirs", python_of_theirs(), tmp_path_factory) as place:
        return hold(place)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Said]]:
    """Everything Rimlock says, by the application's own routers and by the profile, each asked once."""

    @cache
    def hold_once(side: str) -> list[Said]:
        with _served(side, sys.executable, tmp_path_factory) as place:
            return hold(place, strict=side == "ours")

    return hold_once


def _served(side: str, python: str, factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return serving(python, "contract_app:app", factory.mktemp(side), HERE, SIDE=side)


NAMES = [step.name for step in STEPS if not step.setting]
CASES = [
    (side, step.name)
    for side in SIDES
    for step in STEPS
    if not step.setting and (side == "ours" or not step.path.startswith(ROUTERS_ALONE))
]


def _answer(said: list[Said], name: str) -> Answer:
    return next(one.answer for one in said if one.step.name == name)


@pytest.mark.parametrize(("side", "name"), CASES)
def test_the_answer_is_the_same(side: str, name: str, theirs: list[Said], ours: Callable[[str], list[Said]]) -> None:
    """Status, headers and body are those of FastAPI Users, but for ids, tokens, dates and what was added on purpose."""
    wanted, given = _answer(theirs, name), _answer(ours(side), name)
    expected = compared(wanted, added_headers={})
    found = compared(given, added_headers=ADDED_HEADERS, added_members=ADDED_MEMBERS)
    alone = side == "profile"

    if name in ON_PURPOSE or (alone and name in {**UNLESS_DOCUMENTED, **PROFILE_ALONE}):
        assert found != expected, "this difference is no more: take it off the list"
    else:
        assert found == expected


@pytest.mark.parametrize("side", SIDES)
def test_passwords_and_tokens_are_not_repeated(side: str, ours: Callable[[str], list[Said]]) -> None:
    """What is wrong with a request is said without the secrets that were in it, and no answer is stored."""
    said = ours(side)
    assert [one.step.name for one in said if one.answer.status == 422 and b"sentence" in one.answer.body] == []
    answered = [one for one in said if one.step.path.startswith(("/auth", "/users")) and one.answer.status < 300]
    assert answered
    assert [one.step.name for one in answered if one.answer.header("cache-control") != "no-store"] == []


def test_operations_have_the_ids_and_schemes_that_clients_were_generated_from(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Paths, operation ids, tags, parameters, bodies, status codes and security are those of FastAPI Users."""
    with _served("theirs", python_of_theirs(), tmp_path_factory) as place:
        wanted = _operations(ask(place, "GET", "/openapi.json"))

    for side in SIDES:
        with _served(side, sys.executable, tmp_path_factory) as place:
            given = _operations(ask(place, "GET", "/openapi.json"))
        dialect = {
            key: told for key, told in wanted.items() if side == "ours" or key[0].startswith(("/auth", "/users"))
        }
        assert {key: given.get(key) for key in dialect} == dialect


def _operations(document: Answer) -> dict[tuple[str, str], dict[str, object]]:
    """Return what a generated client rests on, by path and method."""
    found = {}
    for path, item in document.json["paths"].items():
        for method, operation in item.items():
            found[path, method] = {
                "id": operation["operationId"],
                "tags": operation.get("tags"),
                "parameters": [(one["name"], one["in"], one["required"]) for one in operation.get("parameters", [])],
                "body": sorted(operation.get("requestBody", {}).get("content", {})),
                "answers": sorted(operation["responses"]),
                "security": operation.get("security"),
            }
    return {key: told for key, told in found.items() if not key[0].startswith("/test")}


def test_every_step_has_a_name_of_its_own() -> None:
    """A step is found by its name."""
    assert len(NAMES) == len(set(NAMES))
