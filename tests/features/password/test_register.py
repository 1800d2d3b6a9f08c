"""Making accounts: who gets one, what is refused before any work, and what a race leaves behind."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest
from fastapi.testclient import TestClient

from features.password.office import ANN, GOOD, CountingHasher, codes, installed, of_kind, visiting
from rimlock.core import accounts
from rimlock.core.registering import UserRegistered
from rimlock.core.schema import account, user
from rimlock.core.users import NewUser
from rimlock.features.password import logic
from rimlock.features.password.errors import PasswordNotAccepted

OFFERED = {"email", "username", "display_name", "avatar_url", "profile"}
COLUMNS = sorted({column.name for table in (user, account) for column in table.columns} - OFFERED)

LONG = [
    "".join(chr(0x430 + (place**3 * 5 + place // 7) % 32) for place in range(130)),
    "".join(chr(97 + (place**3 * 5 + place // 7) % 26) for place in range(1024)),
    "kreisförmige Äpfel rollen",
    "🐢 🦔 🐌 🦦 🐍 🦎 🐊 🦖 🐙",
]
NESTED = b'{"a":' * 300 + b"1" + b"}" * 300


@pytest.mark.req("L11")
def test_registration_makes_an_account_and_shows_it(database_url):
    """The answer is the user as they see themselves; names are kept as typed and compared in one form."""
    app, _, events = installed(database_url)
    sent = {
        **ANN,
        "email": "Ann.Lee@EXAMPLE.com",
        "display_name": "  Ann Lee ",
        "avatar_url": "https://pictures.example/ann.png",
        "profile": {"bench": 4, "notes": ["früh", {"late": None}]},
    }
    with TestClient(app) as client:
        answer = client.post("/auth/register", json=sent)
    assert answer.status_code == 201
    shown = answer.json()
    assert shown.pop("created_at").endswith("Z")
    (made,) = of_kind(events, UserRegistered)
    assert shown == {
        "id": made.user_id,
        "email": "Ann.Lee@example.com",
        "username": "Ann",
        "display_name": "Ann Lee",
        "avatar_url": sent["avatar_url"],
        "profile": sent["profile"],
        "verified": False,
    }
    assert answer.headers["cache-control"] == "no-store"
    assert made.by == "registration"


def test_registration_may_be_closed(sqlite_url):
    """Closed means closed for strangers, without hashing for them; operators go on making accounts."""
    hasher = CountingHasher()
    app, auth, _ = installed(sqlite_url, registration="closed", hasher=hasher)
    with TestClient(app) as client:
        answer = client.post("/auth/register", json=ANN)
        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")
        assert hasher.work == []
        new = NewUser(email="ann@example.com")
        made = client.portal.call(lambda: logic.create_user(auth.context, new, GOOD, roles=("editor",), verified=True))
        assert made.account.roles == {"editor"}
        assert made.account.verified
        assert client.post("/auth/login", json={"login": "ann@example.com", "password": GOOD}).status_code == 200


@pytest.mark.req("L10")
@pytest.mark.parametrize(
    ("password", "reasons"),
    [
        ("q7 wharf", ["too_short"]),
        ("x" * 1025, ["too_long"]),
        ("é" * 513, ["too_long"]),
        ("a\0b c d e f g h i j k l", ["unencodable"]),
        ("ann.longer.address", ["context_word"]),
        ("The-Ann-In-The-Lab", ["context_word"]),
        ("Doctor Ann Longname", ["context_word"]),
        ("passwordpassword", ["common"]),
        ("1234567890123456", ["predictable"]),
    ],
)
def test_a_weak_password_is_refused_before_hashing(sqlite_url, password, reasons):
    """Every reason is named by its code; nothing is hashed, and the password is nowhere in the answer."""
    hasher = CountingHasher()
    app, _, _ = installed(sqlite_url, hasher=hasher)
    sent = {
        "email": "ann.longer.address@example.com",
        "username": "The-Ann-In-The-Lab",
        "display_name": "Doctor Ann Longname",
        "password": password,
    }
    with TestClient(app) as client:
        answer = client.post("/auth/register", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "password_refused")
    assert codes(answer) == reasons
    assert password not in answer.text
    assert hasher.work == []


@pytest.mark.req("L10")
@pytest.mark.parametrize("password", LONG)
def test_long_passwords_of_any_script_are_taken_and_work(sqlite_url, password):
    """What the policy accepts also signs in, in the other normal form too."""
    from unicodedata import normalize

    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        assert client.post("/auth/register", json={**ANN, "password": normalize("NFD", password)}).status_code == 201
        for form in ("NFC", "NFD"):
            sent = {"login": "ann", "password": normalize(form, password)}
            assert client.post("/auth/login", json=sent).status_code == 200


@pytest.mark.req("L10")
def test_composition_rules_can_be_switched_on(sqlite_url):
    """A contract that demands an upper-case letter and a digit gets them, and each lack is named."""
    app, _, _ = installed(sqlite_url, password_minimum=8, password_composition=["upper", "lower", "digit"])
    with TestClient(app) as client:
        answer = client.post("/auth/register", json={**ANN, "password": "quiet harbour"})
        assert codes(answer) == ["missing_upper", "missing_digit"]
        assert client.post("/auth/register", json={**ANN, "password": "Quiet harbour 9"}).status_code == 201


@pytest.mark.attack("mass assignment")
@pytest.mark.parametrize("column", [*COLUMNS, "is_superuser", "scopes", "userId", "email[]", "__proto__"])
def test_what_was_not_offered_is_not_taken(sqlite_url, column):
    """Every column of ours that is no field of the form refuses the whole registration, before hashing."""
    hasher = CountingHasher()
    app, auth, _ = installed(sqlite_url, hasher=hasher)
    values = (True, ["admin"], "admin", 1)
    with TestClient(app) as client:
        for value in values:
            answer = client.post("/auth/register", json={**ANN, column: value})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert client.portal.call(auth.database.read, lambda tx: auth.context.users.page(tx, after=None, limit=9)) == []
    assert hasher.work == []


def test_a_registered_account_has_no_role(database_url):
    """Nobody becomes anything by registering."""
    app, auth, _ = installed(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        found = client.portal.call(auth.database.read, lambda tx: accounts.standing(tx, user_id))
    assert (found.roles, found.active, found.verified, found.epoch) == (frozenset(), True, False, 0)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("email", "a,b@example.com", "email_invalid"),
        ("email", "ann@example.com\r\nBcc: x@example.com", "email_invalid"),
        ("email", '"ann"@example.com', "email_invalid"),
        ("email", "mа@example.com", "email_mixed_scripts"),
        ("username", "ann@home", "username_invalid"),
        ("username", "ann lee", "username_invalid"),
        ("username", "", "username_invalid"),
        ("username", "аnn", "username_mixed_scripts"),
        ("avatar_url", "javascript:alert(1)", "avatar_url_invalid"),
        ("avatar_url", "data:text/html,x", "avatar_url_invalid"),
        ("avatar_url", "//pictures.example/x", "avatar_url_invalid"),
        ("avatar_url", "https://", "avatar_url_invalid"),
        ("avatar_url", "https://a b/", "avatar_url_invalid"),
        ("avatar_url", "https://user:word@pictures.example/", "avatar_url_invalid"),
        ("avatar_url", 'https://pictures.example/"onload=x', "avatar_url_invalid"),
        ("display_name", "Ann \u202e eeL", "display_name_invalid"),
        ("display_name", "Ann\0", "display_name_invalid"),
        ("profile", {str(number): 1 for number in range(65)}, "profile_invalid"),
        ("profile", {"text": "ж" * 4096}, "profile_invalid"),
        ("profile", {"text": "a\0b"}, "profile_invalid"),
        ("profile", {"1": {"2": {"3": {"4": {"5": {"6": {"7": {"8": 1}}}}}}}}, "profile_invalid"),
    ],
)
def test_a_field_that_cannot_be_carried_is_named(sqlite_url, field, value, code):
    """The answer names field and rule, repeats no value, and nothing was hashed for it."""
    hasher = CountingHasher()
    app, _, _ = installed(sqlite_url, hasher=hasher)
    with TestClient(app) as client:
        answer = client.post("/auth/register", json={**ANN, field: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0] | {"detail": ""} == {"name": field, "code": code, "detail": ""}
    assert hasher.work == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"email": "ann@example.com", "password": "seven green ladders", "profile": {"a": NaN}}',
        b'{"email": "ann@example.com", "password": "seven green ladders", "profile": {"a": "\\ud800"}}',
        b'{"email": "ann@example.com", "password": "seven \\ud800 ladders"}',
        b'{"email": ["ann@example.com", "eve@example.com"], "password": "seven green ladders"}',
        b'{"email": "ann@example.com", "password": 1234567890123456}',
        b'{"email": "ann@example.com", "password": "seven green ladders", "profile": ' + NESTED + b"}",
        b"[]",
        b"",
    ],
)
def test_a_body_of_another_shape_is_refused_without_an_echo(sqlite_url, body):
    """Half characters, NaN, lists of addresses, numbers for words and deep nests end in 4xx, not in the database."""
    app, _, events = installed(sqlite_url)
    with TestClient(app) as client:
        answer = client.post("/auth/register", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert "seven" not in answer.text
    assert of_kind(events, UserRegistered) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"email": "ann@example.com"}, {"email": "ANN@Example.COM"}),
        ({"email": "ｓam@example.com"}, {"email": "sam@example.com"}),
        ({"username": "Strasse"}, {"username": "STRASSE"}),
        ({"username": "ｂob"}, {"username": "bob"}),
        ({"username": "Å"}, {"username": "A\u030a"}),
    ],
)
def test_spellings_of_one_name_are_one_name(sqlite_url, first, second):
    """Case, width and composition make no second account."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        one = {"email": "one@example.com", "password": GOOD, **first}
        two = {"email": "two@example.com", "password": GOOD, **second}
        assert client.post("/auth/register", json=one).status_code == 201
        answer = client.post("/auth/register", json=two)
    assert (answer.status_code, answer.json()["code"]) == (409, "registration_conflict")


@pytest.mark.attack("enumeration")
def test_a_taken_name_costs_the_same_and_is_not_told_apart(database_url):
    """For a free name, a taken address and a taken username exactly one hash is made; the two refusals are equal."""
    hasher = CountingHasher()
    app, _, _ = installed(database_url, hasher=hasher)
    attempts = [ANN, {**ANN, "username": "Other"}, {**ANN, "email": "other@example.com"}]
    with TestClient(app) as client:
        answers, work = [], []
        for attempt in attempts:
            hasher.work.clear()
            answers.append(client.post("/auth/register", json=attempt))
            work.append(list(hasher.work))
    assert work == [["hash"]] * 3
    assert [answer.status_code for answer in answers] == [201, 409, 409]
    assert answers[1].content == answers[2].content
    assert answers[1].headers == answers[2].headers


@pytest.mark.anyio
@pytest.mark.attack("registration race")
async def test_of_forty_simultaneous_registrations_one_succeeds(database_url):
    """The unique key decides: one 201, thirty-nine times 409, one user with one standing, one event."""
    app, auth, events = installed(database_url, login_rate=40)
    async with visiting(app, auth) as client:
        spellings = ("ann@example.com", "ANN@example.com", "Ann@EXAMPLE.com", "aNN@example.COM")
        attempts = [{"email": email, "password": GOOD} for email, _ in product(spellings, range(10))]
        answers = await asyncio.gather(*(client.post("/auth/register", json=attempt) for attempt in attempts))
        statuses = sorted(answer.status_code for answer in answers)
        users = await auth.database.read(lambda tx: auth.context.users.page(tx, after=None, limit=99))
        standings = await auth.database.read(lambda tx: [accounts.standing(tx, one.id) for one in users])
    assert statuses == [201] + [409] * 39
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"registration_conflict"}
    assert len(users) == 1
    assert len(standings) == 1
    assert standings[0] is not None
    assert [event.user_id for event in of_kind(events, UserRegistered)] == [users[0].id]


def test_an_operator_makes_accounts_by_the_same_rules(database_url):
    """A command's account meets the password policy too, and may have no password at all."""
    app, auth, events = installed(database_url)
    with TestClient(app) as client:
        with pytest.raises(PasswordNotAccepted) as refused:
            client.portal.call(lambda: logic.create_user(auth.context, NewUser(email="bo@example.com"), "short"))
        assert [field["code"] for field in refused.value.errors] == ["too_short"]
        made = client.portal.call(lambda: logic.create_user(auth.context, NewUser(email="bo@example.com"), None))
        assert made.account.password_hash is None
        assert client.post("/auth/login", json={"login": "bo@example.com", "password": ""}).status_code == 401
    assert [event.by for event in of_kind(events, UserRegistered)] == ["command"]
