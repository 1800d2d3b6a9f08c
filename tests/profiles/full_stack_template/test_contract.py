"""Each route of the template, by its documented answers: status, body to the full stop, headers, names."""

from __future__ import annotations

import uuid

import pytest
from fastapi.testclient import TestClient

from profiles.full_stack_template.office import (
    API,
    BETTER,
    GOOD,
    change,
    moved,
    office,
    old_token,
    signed_in,
    standing,
)
from rimlock.core import accounts

pytestmark = [pytest.mark.req("L11", "L9")]

ORDER = ["email", "is_active", "is_superuser", "full_name", "id", "created_at"]
PRIVILEGES = {"detail": "The user doesn't have enough privileges"}
NOT_VALIDATED = {"detail": "Could not validate credentials"}
NOBODY = uuid.UUID(int=7)


def said(answer):
    """Return status and body, which is all that clients look at."""
    return answer.status_code, answer.json()


def test_signing_in_gives_a_bearer_token(database_url, clock):
    """200 with `access_token` and `token_type`; `expires_in` beside them, and nobody stores it."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        answer = client.post(f"{API}/login/access-token", data={"username": "ann@example.com", "password": GOOD})
        assert answer.status_code == 200
        assert list(answer.json()) == ["access_token", "token_type", "expires_in"]
        assert answer.json()["token_type"] == "bearer"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("username", ["ann@example.com", "nobody@example.com"])
def test_a_wrong_password_and_nobody_are_told_alike(database_url, clock, username):
    """400 `Incorrect email or password`, and beside it what RFC 6749 calls it."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        answer = client.post(f"{API}/login/access-token", data={"username": username, "password": BETTER})
        assert said(answer) == (400, {"detail": "Incorrect email or password", "error": "invalid_grant"})
        assert client.post(f"{API}/login/access-token", data={"username": username}).status_code == 422


def test_a_user_has_the_documented_fields_in_their_order(database_url, clock):
    """By `test-token` and `/users/me` alike; the id with dashes, the moment in UTC."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        user_id = moved(client, auth, "ann@example.com", full_name="Ann")
        ann = signed_in(client, "ann@example.com")
        for answer in (
            client.post(f"{API}/login/test-token", headers=ann),
            client.get(f"{API}/users/me", headers=ann),
            client.get(f"{API}/users/{user_id}", headers=ann),
            client.get(f"{API}/users/{uuid.UUID(user_id).hex}", headers=ann),
        ):
            assert answer.status_code == 200
            assert list(answer.json()) == ORDER
            assert list(answer.json().values()) == [
                "ann@example.com",
                True,
                False,
                "Ann",
                user_id,
                "2027-01-15T08:00:00Z",
            ]


@pytest.mark.parametrize("route", ["/users/me", "/users/", "/items/", f"/users/{NOBODY}"])
def test_a_guarded_route_says_what_the_token_lacks(database_url, clock, route):
    """Nothing 401 with a challenge, nonsense 403, a deleted user 404, a disabled one 400: ours and the host's alike."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        user_id = moved(client, auth, "ann@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        ann, root = signed_in(client, "ann@example.com"), signed_in(client, "root@example.com")
        missing = client.get(API + route)
        assert said(missing) == (401, {"detail": "Not authenticated"})
        assert missing.headers["www-authenticate"] == "Bearer"
        nonsense = client.get(API + route, headers={"Authorization": "Bearer no.such.token"})
        assert said(nonsense) == (403, NOT_VALIDATED)
        assert "www-authenticate" not in nonsense.headers
        change(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=auth.context.now()))
        assert said(client.get(API + route, headers=ann)) == (400, {"detail": "Inactive user"})
        assert client.delete(f"{API}/users/{user_id}", headers=root).status_code == 200
        assert said(client.get(API + route, headers=ann)) == (404, {"detail": "User not found"})


def test_a_token_that_is_over_is_no_credential(database_url, clock):
    """403, as for one that was never good."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        ann = signed_in(client, "ann@example.com")
        clock.advance(auth.settings.access_lifetime.total_seconds() + 60)
        assert said(client.get(f"{API}/users/me", headers=ann)) == (403, NOT_VALIDATED)


def test_forgotten_passwords_are_recovered_by_mail(database_url, clock):
    """One answer for everybody, one mail for whoever is there, and its link is good once."""
    app, auth, box = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        for email in ("ann@example.com", "nobody@example.com", "no address"):
            answer = client.post(f"{API}/password-recovery/{email}")
            assert said(answer) == (
                200,
                {"message": "If that email is registered, we sent a password recovery link"},
            )
        assert [message.to for message in box.messages] == ["ann@example.com"]
        assert box.link("ann@example.com").startswith("https://app.example.com/reset-password?token=")
        sent = {"token": box.link("ann@example.com").partition("?token=")[2], "new_password": BETTER}
        assert client.post(f"{API}/reset-password/", json={**sent, "new_password": "short"}).status_code == 422
        assert said(client.post(f"{API}/reset-password/", json=sent)) == (
            200,
            {"message": "Password updated successfully"},
        )
        assert said(client.post(f"{API}/reset-password/", json=sent)) == (400, {"detail": "Invalid token"})
        signed_in(client, "ann@example.com", BETTER)


def test_a_link_of_somebody_who_may_not_act_says_so(database_url, clock):
    """400 `Inactive user`, and only to who holds the link."""
    app, auth, box = office(database_url, clock)
    with TestClient(app) as client:
        user_id = moved(client, auth, "ann@example.com")
        client.post(f"{API}/password-recovery/ann@example.com")
        change(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=auth.context.now()))
        sent = {"token": box.link().partition("?token=")[2], "new_password": BETTER}
        assert said(client.post(f"{API}/reset-password/", json=sent)) == (400, {"detail": "Inactive user"})


def test_superusers_see_the_mail(database_url, clock):
    """HTML with the subject in a header; 404 for nobody; 403 for everybody else."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        root, ann = signed_in(client, "root@example.com"), signed_in(client, "ann@example.com")
        shown = client.post(f"{API}/password-recovery-html-content/ann@example.com", headers=root)
        assert shown.status_code == 200
        assert shown.headers["content-type"].startswith("text/html")
        assert shown.headers["subject"]
        assert "<html" in shown.text
        nobody = client.post(f"{API}/password-recovery-html-content/nobody@example.com", headers=root)
        assert said(nobody) == (404, {"detail": "The user with this username does not exist in the system."})
        other = client.post(f"{API}/password-recovery-html-content/root@example.com", headers=ann)
        assert said(other) == (403, PRIVILEGES)


def test_anybody_signs_up(database_url, clock):
    """200 with the user, who signs in."""
    app, _, _ = office(database_url, clock)
    with TestClient(app) as client:
        sent = {"email": "bob@example.com", "password": BETTER, "full_name": "Bob"}
        answer = client.post(f"{API}/users/signup", json=sent)
        assert answer.status_code == 200
        assert list(answer.json()) == ORDER
        assert (answer.json()["email"], answer.json()["full_name"]) == ("bob@example.com", "Bob")
        bob = signed_in(client, "bob@example.com", BETTER)
        assert client.get(f"{API}/users/me", headers=bob).json() == answer.json()
        for wrong in ({**sent, "password": "short"}, {**sent, "email": "bob"}, {**sent, "password": "x" * 129}):
            assert client.post(f"{API}/users/signup", json=wrong).status_code == 422


def test_people_change_themselves(database_url, clock):
    """Name and address; a taken address is 409; what is not sent stays, and null takes a name away."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com", full_name="Ann")
        moved(client, auth, "bob@example.com")
        ann = signed_in(client, "ann@example.com")
        me = f"{API}/users/me"
        assert client.patch(me, json={"full_name": "Anna"}, headers=ann).json()["full_name"] == "Anna"
        changed = client.patch(me, json={"email": "anna@example.com"}, headers=ann).json()
        assert (changed["email"], changed["full_name"]) == ("anna@example.com", "Anna")
        assert client.patch(me, json={"full_name": None}, headers=ann).json()["full_name"] is None
        taken = client.patch(me, json={"email": "Bob@example.com"}, headers=ann)
        assert said(taken) == (409, {"detail": "User with this email already exists"})
        assert client.patch(me, json={"email": "Anna@example.com"}, headers=ann).status_code == 200


def test_people_change_their_password(database_url, clock):
    """By the one until now; not to the same; and every token so far is over."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        ann, place = signed_in(client, "ann@example.com"), f"{API}/users/me/password"
        wrong = client.patch(place, json={"current_password": BETTER, "new_password": BETTER}, headers=ann)
        assert said(wrong) == (400, {"detail": "Incorrect password"})
        same = client.patch(place, json={"current_password": GOOD, "new_password": GOOD}, headers=ann)
        assert said(same) == (400, {"detail": "New password cannot be the same as the current one"})
        good = client.patch(place, json={"current_password": GOOD, "new_password": BETTER}, headers=ann)
        assert said(good) == (200, {"message": "Password updated successfully"})
        assert said(client.get(f"{API}/users/me", headers=ann)) == (403, NOT_VALIDATED)
        signed_in(client, "ann@example.com", BETTER)


def test_people_delete_themselves_but_superusers_do_not(database_url, clock):
    """200 and gone; 403 for a superuser by either route."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        root_id = moved(client, auth, "root@example.com", superuser=True)
        moved(client, auth, "too@example.com", superuser=True)
        ann, root = signed_in(client, "ann@example.com"), signed_in(client, "root@example.com")
        answer = client.delete(f"{API}/users/me", headers=ann)
        assert said(answer) == (200, {"message": "User deleted successfully"})
        for place in ("me", root_id):
            refused = client.delete(f"{API}/users/{place}", headers=root)
            assert said(refused) == (403, {"detail": "Super users are not allowed to delete themselves"})


def test_superusers_list_everybody(database_url, clock):
    """A page, newest first, and how many there are in all; others are refused."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "root@example.com", superuser=True)
        for place in range(5):
            moved(client, auth, f"p{place}@example.com", at=auth.context.now() + place + 1)
        root, one = signed_in(client, "root@example.com"), signed_in(client, "p1@example.com")
        whole = client.get(f"{API}/users/", headers=root).json()
        assert list(whole) == ["data", "count"]
        assert whole["count"] == 6
        assert whole["data"][0]["email"] == "p4@example.com"
        page = client.get(f"{API}/users/?skip=1&limit=2", headers=root).json()
        assert [user["email"] for user in page["data"]] == ["p3@example.com", "p2@example.com"]
        assert page["count"] == 6
        assert client.get(f"{API}/users/?skip=-1", headers=root).status_code == 422
        assert said(client.get(f"{API}/users/", headers=one)) == (403, PRIVILEGES)


def test_superusers_make_accounts(database_url, clock):
    """200 with the user; 400 with a full stop for a taken address; 403 for others."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        moved(client, auth, "ann@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        root, ann = signed_in(client, "root@example.com"), signed_in(client, "ann@example.com")
        sent = {"email": "new@example.com", "password": BETTER, "full_name": "New", "is_superuser": True}
        assert said(client.post(f"{API}/users/", json=sent, headers=ann)) == (403, PRIVILEGES)
        made = client.post(f"{API}/users/", json=sent, headers=root)
        assert made.status_code == 200
        assert list(made.json()) == ORDER
        assert (made.json()["is_superuser"], made.json()["is_active"]) == (True, True)
        again = client.post(f"{API}/users/", json=sent, headers=root)
        assert said(again) == (400, {"detail": "The user with this email already exists in the system."})
        asleep = {"email": "asleep@example.com", "password": BETTER, "is_active": False}
        assert client.post(f"{API}/users/", json=asleep, headers=root).json()["is_active"] is False


def test_superusers_see_change_and_delete_one(database_url, clock):
    """Each by its id, with each refusal's own words."""
    app, auth, _ = office(database_url, clock)
    with TestClient(app) as client:
        ann_id, bob_id = moved(client, auth, "ann@example.com"), moved(client, auth, "bob@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        root, bob = signed_in(client, "root@example.com"), signed_in(client, "bob@example.com")
        one, none = f"{API}/users/{ann_id}", f"{API}/users/{NOBODY}"
        assert client.get(one, headers=root).json()["email"] == "ann@example.com"
        assert said(client.get(none, headers=root)) == (404, {"detail": "User not found"})
        assert said(client.get(one, headers=bob)) == (403, PRIVILEGES)
        assert client.get(f"{API}/users/no-uuid", headers=root).status_code == 422
        sent = {"full_name": "Ann", "is_superuser": True}
        assert client.patch(one, json=sent, headers=root).json()["is_superuser"] is True
        assert client.patch(one, json={"is_active": False}, headers=root).json()["is_active"] is False
        assert "admin" in standing(client, auth, ann_id).roles
        missing = client.patch(none, json=sent, headers=root)
        assert said(missing) == (404, {"detail": "The user with this id does not exist in the system"})
        taken = client.patch(one, json={"email": "bob@example.com"}, headers=root)
        assert said(taken) == (409, {"detail": "User with this email already exists"})
        for answer in (client.patch(one, json=sent, headers=bob), client.delete(one, headers=bob)):
            assert said(answer) == (403, PRIVILEGES)
        assert said(client.delete(none, headers=root)) == (404, {"detail": "User not found"})
        assert said(client.delete(one, headers=root)) == (200, {"message": "User deleted successfully"})
        assert client.get(one, headers=root).status_code == 404
        assert client.get(f"{API}/users/{bob_id}", headers=root).status_code == 200


NAMES = {
    ("post", "/login/access-token"): "login-login_access_token",
    ("post", "/login/test-token"): "login-test_token",
    ("post", "/password-recovery/{email}"): "login-recover_password",
    ("post", "/reset-password/"): "login-reset_password",
    ("post", "/password-recovery-html-content/{email}"): "login-recover_password_html_content",
    ("post", "/users/signup"): "users-register_user",
    ("get", "/users/"): "users-read_users",
    ("post", "/users/"): "users-create_user",
    ("get", "/users/me"): "users-read_user_me",
    ("patch", "/users/me"): "users-update_user_me",
    ("delete", "/users/me"): "users-delete_user_me",
    ("patch", "/users/me/password"): "users-update_password_me",
    ("get", "/users/{user_id}"): "users-read_user_by_id",
    ("patch", "/users/{user_id}"): "users-update_user",
    ("delete", "/users/{user_id}"): "users-delete_user",
}


def test_generated_clients_find_their_names(sqlite_url, clock):
    """Operation ids are the tag and the function, schemas have the template's names, the scheme its address."""
    app, _, _ = office(sqlite_url, clock)
    with TestClient(app) as client:
        document = client.get("/openapi.json").json()
    found = {
        (method, path.removeprefix(API)): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if "/items" not in path and "/whoami" not in path
    }
    assert {key: operation["operationId"] for key, operation in found.items()} == NAMES
    assert {operation["tags"][0] for operation in found.values()} == {"login", "users"}
    schemas = {"Message", "NewPassword", "Token", "UpdatePassword", "UserCreate", "UserPublic", "UserRegister"}
    assert schemas | {"UserUpdate", "UserUpdateMe", "UsersPublic"} <= set(document["components"]["schemas"])
    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    assert flow["tokenUrl"] == f"{API}/login/access-token"
    assert found["get", "/users/me"]["security"] == [{"OAuth2PasswordBearer": []}]
    assert list(document["components"]["schemas"]["UserPublic"]["properties"]) == ORDER


def test_another_prefix_moves_every_route(sqlite_url, clock):
    """Also the address where the Authorize button signs in."""
    app, _, _ = office(sqlite_url, clock, prefix="/v2")
    with TestClient(app) as client:
        document = client.get("/openapi.json").json()
        assert client.get("/v2/users/me").status_code == 401
        assert client.get(f"{API}/users/me").status_code == 404
    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    assert flow["tokenUrl"] == "/v2/login/access-token"


def test_the_hosts_own_routes_go_on_as_they_were(database_url, clock):
    """Items with owners, by new tokens and old ones: everybody their own, superusers all."""
    app, auth, _ = office(database_url, clock, legacy=True)
    with TestClient(app) as client:
        ann_id = moved(client, auth, "ann@example.com")
        moved(client, auth, "bob@example.com")
        moved(client, auth, "root@example.com", superuser=True)
        ann, bob, root = (signed_in(client, f"{name}@example.com") for name in ("ann", "bob", "root"))
        before = old_token(ann_id, clock)
        item = client.post(f"{API}/items/", json={"title": "first"}, headers=before).json()
        assert item["owner_id"] == ann_id
        one = f"{API}/items/{item['id']}"
        assert client.get(one, headers=ann).json() == item
        assert client.get(f"{API}/items/", headers=before).json()["count"] == 1
        assert said(client.get(one, headers=bob)) == (403, {"detail": "Not enough permissions"})
        assert client.get(f"{API}/items/", headers=bob).json() == {"data": [], "count": 0}
        assert client.get(f"{API}/items/", headers=root).json()["count"] == 1
        assert said(client.delete(f"{API}/items/", headers=ann)) == (403, PRIVILEGES)
        assert client.delete(f"{API}/items/", headers=root).json() == {"message": "Items deleted"}
