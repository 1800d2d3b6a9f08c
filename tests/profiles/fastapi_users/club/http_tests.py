"""The club's own tests, over HTTP: the same file before and after the club moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from profiles.fastapi_users.peers import Answer, ask

__all__ = ["TESTS", "Club"]

GOOD, BETTER = "a quite long sentence nobody knows", "another long sentence that is new"


class Club:
    """The club as its clients see it. `letters`: the folder with the letters it sent."""

    def __init__(self, place: str, letters: Path, marker: str = "") -> None:
        self.place, self.letters, self.marker = place, letters, marker

    def send(self, method: str, path: str, json: Any = None, token: str | None = None) -> Answer:
        """Send JSON."""
        import json as encoder

        headers = {"authorization": f"Bearer {token}"} if token else {}
        if json is None:
            return ask(self.place, method, path, None, headers)
        body = encoder.dumps(json).encode()
        return ask(self.place, method, path, body, {**headers, "content-type": "application/json"})

    def join(self, name: str) -> tuple[str, str]:
        """Join the club; return the address and the id."""
        email = f"{name}{self.marker}@club.example"
        answer = self.send("POST", "/auth/register", {"email": email, "password": GOOD})
        assert answer.status == 201, answer.body
        return email, answer.json["id"]

    def log_in(self, email: str, password: str = GOOD) -> Answer:
        """Log in."""
        form = urlencode({"username": email, "password": password}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return ask(self.place, "POST", "/auth/jwt/login", form, headers)

    def token(self, email: str, password: str = GOOD) -> str:
        """Log in and return the token."""
        answer = self.log_in(email, password)
        assert answer.status == 200, answer.body
        return str(answer.json["access_token"])

    def letter(self, kind: str, email: str) -> str:
        """Return what was written. A letter takes its time; five seconds are enough."""
        place = self.letters / f"{kind}-{email}"
        for _ in range(100):
            if place.exists() and (text := place.read_text()):
                return text
            time.sleep(0.05)
        raise AssertionError(f"there is no letter {place.name}")


def test_joining(club: Club) -> None:
    """Whoever joins is welcomed, and cannot join twice."""
    email, which = club.join("first")
    assert club.letter("welcome", email) == which
    again = club.send("POST", "/auth/register", {"email": email.upper(), "password": GOOD})
    assert (again.status, again.json) == (400, {"detail": "REGISTER_USER_ALREADY_EXISTS"})


def test_coming_in(club: Club) -> None:
    """Members come in, strangers do not."""
    email, which = club.join("second")
    answer = club.log_in(email)
    assert answer.json["token_type"] == "bearer"
    token = answer.json["access_token"]
    assert club.send("GET", "/club-room", token=token).json == {"message": f"Good evening, {email}"}
    me = {"id": which, "email": email, "is_active": True, "is_superuser": False, "is_verified": False}
    assert club.send("GET", "/users/me", token=token).json == me
    assert club.send("GET", "/club-room").json == {"detail": "Unauthorized"}
    assert club.log_in(email, "a wrong sentence altogether").json["detail"] == "LOGIN_BAD_CREDENTIALS"


def test_proving_an_address(club: Club) -> None:
    """By the letter, once."""
    email, _ = club.join("third")
    assert club.send("POST", "/auth/request-verify-token", {"email": email}).status == 202
    letter = {"token": club.letter("verify", email)}
    assert club.send("POST", "/auth/verify", letter).json["is_verified"] is True
    assert club.send("POST", "/auth/verify", letter).json == {"detail": "VERIFY_USER_ALREADY_VERIFIED"}


def test_a_forgotten_password(club: Club) -> None:
    """By the letter, once."""
    email, _ = club.join("fourth")
    assert club.send("POST", "/auth/forgot-password", {"email": email}).status == 202
    letter = {"token": club.letter("reset", email), "password": BETTER}
    assert club.send("POST", "/auth/reset-password", letter).status == 200
    assert club.send("POST", "/auth/reset-password", letter).json == {"detail": "RESET_PASSWORD_BAD_TOKEN"}
    assert club.log_in(email).status == 400
    assert club.log_in(email, BETTER).status == 200


def test_changing_the_address(club: Club) -> None:
    """It is the new one at once, and the old one is nobody's."""
    email, _ = club.join("fifth")
    token, new = club.token(email), f"moved{club.marker}@club.example"
    assert club.send("PATCH", "/users/me", {"email": new}, token).json["email"] == new
    assert club.log_in(email).status == 400
    assert club.send("GET", "/users/me", token=club.token(new)).json["email"] == new


def test_others_are_none_of_a_members_business(club: Club) -> None:
    """Only superusers see others."""
    _, which = club.join("sixth")
    token = club.token(f"sixth{club.marker}@club.example")
    assert club.send("GET", f"/users/{which}", token=token).json == {"detail": "Forbidden"}
    assert club.send("DELETE", f"/users/{which}").json == {"detail": "Unauthorized"}


TESTS: tuple[Callable[[Club], None], ...] = (
    test_joining,
    test_coming_in,
    test_proving_an_address,
    test_a_forgotten_password,
    test_changing_the_address,
    test_others_are_none_of_a_members_business,
)
