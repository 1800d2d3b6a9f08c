"""An application moves to Rimlock by its imports and its wiring, with users and live tokens; and back.

Both run in one environment, over one SQLite file that the other one left.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from profiles.fastapi_users.club.http_tests import BETTER, GOOD, TESTS, Club
from profiles.fastapi_users.peers import python_of_theirs, serving

pytestmark = [pytest.mark.req("L9")]

HERE = Path(__file__).parent / "club"
MODULES = ("app", "db", "schemas", "users")


def open_club(version: str, folder: Path):  # type: ignore[no-untyped-def]
    """Run the club before or after it moved."""
    return serving(python_of_theirs(), "app:app", folder, HERE / version)


def test_the_move_and_the_way_back(tmp_path: Path) -> None:
    """The club's tests pass at every stage, and whoever was a member stays one, with the password they chose last."""
    letters = tmp_path / "letters"
    with open_club("before", tmp_path) as place:
        club = Club(place, letters, "-old")
        for one in TESTS:
            one(club)
        ann, ann_id = club.join("ann")
        bob, _ = club.join("bob")
        cy, _ = club.join("cy")
        live, kept = club.token(ann), club.token(bob)
        club.send("POST", "/auth/forgot-password", {"email": bob})
        club.send("POST", "/auth/request-verify-token", {"email": cy})
        to_reset, to_verify = club.letter("reset", bob), club.letter("verify", cy)

    with open_club("after", tmp_path) as place:
        club = Club(place, letters, "-new")
        for one in TESTS:
            one(club)
        assert club.send("GET", "/club-room", token=live).json == {"message": f"Good evening, {ann}"}
        assert club.send("GET", "/users/me", token=live).json["id"] == ann_id
        assert club.send("GET", "/users/me", token=club.token(ann)).json["id"] == ann_id
        assert club.send("POST", "/auth/jwt/logout", token=live).status == 204
        assert club.send("GET", "/club-room", token=live).status == 401
        assert club.send("GET", "/club-room", token=kept).status == 200
        assert club.send("POST", "/auth/verify", {"token": to_verify}).json["is_verified"] is True
        used = {"token": to_reset, "password": BETTER}
        assert club.send("POST", "/auth/reset-password", used).status == 200
        assert club.send("POST", "/auth/reset-password", used).json == {"detail": "RESET_PASSWORD_BAD_TOKEN"}
        assert club.send("GET", "/club-room", token=kept).status == 401
        exchanged = club.send("POST", "/auth/jwt/exchange", token=live)
        assert exchanged.status == 401
        dee, dee_id = club.join("dee")
        club.token(dee)

    with open_club("before", tmp_path) as place:
        club = Club(place, letters, "-back")
        for one in TESTS:
            one(club)
        for email, password in ((ann, GOOD), (bob, BETTER), (cy, GOOD), (dee, GOOD)):
            assert club.log_in(email, password).status == 200, email
        assert club.log_in(bob, GOOD).status == 400
        assert club.send("GET", "/users/me", token=club.token(dee)).json["id"] == dee_id
        assert club.send("GET", "/users/me", token=club.token(cy)).json["is_verified"] is True


@pytest.mark.parametrize("module", MODULES)
def test_only_imports_and_wiring_differ(module: str) -> None:
    """But for imports, the arguments of `FastAPIUsers(…)` and the lines that install Rimlock, nothing changed."""
    before, after = (_bare((HERE / version / f"{module}.py").read_text()) for version in ("before", "after"))
    assert after == before


def _bare(source: str) -> list[str]:
    kept = []
    for node in ast.parse(source).body:
        text = ast.unparse(node)
        if isinstance(node, ast.Import | ast.ImportFrom) or text.startswith(("settings =", "auth =", "auth.install")):
            continue
        kept.append("fastapi_users = …" if text.startswith("fastapi_users =") else text)
    return kept
