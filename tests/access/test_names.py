"""Names people sign in with: one form for what is alike, and one account for one form, also in a race."""

from __future__ import annotations

import asyncio
import unicodedata
from functools import partial

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import func, select

from access.host import fitted
from rimlock.core.errors import InvalidRequest
from rimlock.core.normal import email_forms, login_key, username_forms
from rimlock.core.schema import user as table
from rimlock.core.users import NewUser, OwnUsers, RegistrationConflict

pytestmark = pytest.mark.req("L11")

ONE_ADDRESS = [
    ("ann@example.com", "Ann@Example.COM", "ANN@EXAMPLE.COM", "ann@EXAMPLE\u3002com"),
    ("sam@example.com", "ſam@example.com", "SAM@example.com"),
    ("office@example.com", "oﬃce@example.com", "OFFICE@example.com"),
    ("fi@example.com", "ﬁ@example.com"),
    ("ann@example.com", "ａｎｎ@example.com", "ann@ｅxample.com"),
    ("josé@example.com", "jose\u0301@example.com", "JOSÉ@example.com", "JOSE\u0301@example.com"),
    ("strasse@example.com", "straße@example.com", "STRASSE@example.com", "STRAẞE@example.com"),
    ("k@example.com", "\u212a@example.com"),
    ("σ@example.com", "ς@example.com", "Σ@example.com"),
    ("ann@bücher.example", "ann@xn--bcher-kva.example", "ann@bu\u0308cher.example", "ann@BÜCHER.example"),
    ("\u0390@example.com", "\u03b9\u0308\u0301@example.com"),
]
APART = [
    ("mike@example.com", "mıke@example.com"),
    ("mike@example.com", "mi\u0307ke@example.com"),
    ("ann@fass.example", "ann@faß.example"),
    ("ann@example.com", "ann+lab@example.com"),
    ("ann@example.com", "a.nn@example.com"),
    ("ann@example.com", "ann@ex\u0430mple.com"),
    ("a@example.com", "\u0430@example.com"),
    ("jose@example.com", "josé@example.com"),
]


@pytest.mark.parametrize("spellings", ONE_ADDRESS, ids=lambda spellings: spellings[0])
def test_spellings_of_one_address_have_one_key(spellings):
    """Case, ligatures, full width, long s, Kelvin, composed and decomposed, Unicode and ASCII domains."""
    assert len({email_forms(one)[1] for one in spellings}) == 1


@pytest.mark.parametrize("one, other", APART)
def test_addresses_that_are_apart_stay_apart(one, other):
    """A dotless i is no i, a tag and a dot belong to the address, and a Cyrillic a is no Latin a."""
    assert email_forms(one)[1] != email_forms(other)[1]


@pytest.mark.parametrize(
    "address",
    [
        "pаypal@example.com",
        "раyраl@example.com",
        "αnn@example.com",
        "ann\u0660\u0966@example.com",
        "ann\u0966@example.com",
    ],
)
def test_an_address_of_mixed_scripts_is_refused_by_name(address):
    """Letters and digits of two scripts in one local part."""
    with pytest.raises(InvalidRequest) as refused:
        email_forms(address)
    assert refused.value.errors[0]["code"] == "email_mixed_scripts"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann",
        "@",
        "ann@",
        "@example.com",
        "ann@localhost",
        "ann@[127.0.0.1]",
        "ann @example.com",
        " ann@example.com",
        "ann@example.com\n",
        "ann\x00@example.com",
        "ann\u200b@example.com",
        "ann\u00ad@example.com",
        "ann\u202e@example.com",
        "ann@exam\u2060ple.com",
        '"ann x"@example.com',
        "ann@example.com, bea@example.com",
        "Ann <ann@example.com>",
        "ann@example.com.",
        "ann@-example.com",
        "\ud800@example.com",
        "a" * 310 + "@example.com",
    ],
)
def test_what_is_no_address_is_refused(address):
    """Invisible, quoted, listed, too long; never with an error of another kind."""
    with pytest.raises(InvalidRequest) as refused:
        email_forms(address)
    assert refused.value.errors[0]["code"] == "email_invalid"


@pytest.mark.parametrize(
    "spellings",
    [("ann", "Ann", "ANN", "ａｎｎ"), ("josé", "JOSÉ", "jose\u0301"), ("k", "K", "\u212a"), ("σ", "Σ")],
    ids=lambda spellings: spellings[0],
)
def test_spellings_of_one_username_have_one_key(spellings):
    """Case, full width, composed and decomposed; the shown form keeps its case."""
    assert len({username_forms(one)[1] for one in spellings}) == 1
    assert username_forms(spellings[1])[0] == unicodedata.normalize("NFC", spellings[1])


@pytest.mark.parametrize("one, other", [("mike", "mıke"), ("strasse", "straße"), ("ann", "ann_"), ("jose", "josé")])
def test_usernames_that_are_apart_stay_apart(one, other):
    """As PRECIS has it: lower case, no folding to other letters."""
    assert username_forms(one)[1] != username_forms(other)[1]


@pytest.mark.parametrize(
    "name, code",
    [
        ("", "username_invalid"),
        ("a b", "username_invalid"),
        ("a@b", "username_invalid"),
        ("ann/bea", "username_invalid"),
        ("ann\u200b", "username_invalid"),
        ("ann\u00ad", "username_invalid"),
        ("ann\u202e", "username_invalid"),
        ("ﬁ", "username_invalid"),
        ("ſam", "username_invalid"),
        ("Ⅳ", "username_invalid"),
        ("..", "username_invalid"),
        ("-_-", "username_invalid"),
        ("\u0301ann", "username_invalid"),
        ("x" * 65, "username_invalid"),
        ("user\u0660", "username_invalid"),
        ("pаypal", "username_mixed_scripts"),
        ("한글a", "username_mixed_scripts"),
        ("ann\u0966", "username_mixed_scripts"),
    ],
)
def test_what_is_no_username_is_refused(name, code):
    """Spaces, signs, invisible ones, ligatures, nothing but signs, marks on nothing, two scripts."""
    with pytest.raises(InvalidRequest) as refused:
        username_forms(name)
    assert refused.value.errors[0]["code"] == code


@pytest.mark.parametrize(
    "name", ["ann-lee_7.b", "क्षितिज", "日本カナ", "佐々木abc", "カーabc", "한글7", "Ελένη", "x" * 64, "২০"]
)
def test_names_of_many_scripts_are_taken(name):
    """Vowel signs that are letters to their readers, and Japanese beside Latin."""
    assert username_forms(name)[0] == name


LETTERS = st.characters(categories=["L", "M", "N", "P", "S"])


@given(st.text(LETTERS, min_size=1, max_size=12))
def test_every_normalisation_of_an_address_has_its_key(local):
    """Composed, decomposed, compatible or folded: who signs in with any of them means the same account."""
    try:
        key = email_forms(f"{local}@example.com")[1]
    except InvalidRequest:
        assume(False)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert login_key(unicodedata.normalize(form, f"{local}@example.com")) in {("email", key), None}
    assert login_key(f"{local}@example.com".casefold()) in {("email", key), None}
    assert login_key(key) in {("email", key), None}


@given(st.text(LETTERS, min_size=1, max_size=12))
def test_every_normalisation_of_a_username_has_its_key(name):
    """The key of the key is the key, and what is shown leads back to it."""
    try:
        shown, key = username_forms(name)
    except InvalidRequest:
        assume(False)
    for form in ("NFC", "NFD"):
        assert login_key(unicodedata.normalize(form, name)) == ("username", key)
    assert username_forms(shown) == (shown, key)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading(text):
    """Refused or taken, never another failure."""
    for form in (email_forms, username_forms):
        try:
            form(text)
        except InvalidRequest:
            continue
    assert login_key(text) is None or login_key(text)[0] in {"email", "username"}


SPELLINGS = {
    "email": ("office@example.com", "Office@Example.com", "oﬃce@example.com", "ｏffice@example.com"),
    "username": ("josé", "JOSÉ", "jose\u0301", "José"),
}


@pytest.mark.parametrize("field", ["email", "username"])
def test_of_forty_who_register_the_same_name_at_once_one_gets_it(database_url, field):
    """In four spellings, each in a transaction of its own: one row, thirty-nine conflicts, no other failure."""
    app = FastAPI()
    auth = fitted(app, database_url)
    spellings = SPELLINGS[field]

    def new(place):
        spelling = spellings[place % len(spellings)]
        if field == "email":
            return NewUser(email=spelling)
        return NewUser(email=f"u{place}@example.com", username=spelling)

    def create(wanted, tx):
        return OwnUsers().create(tx, wanted, 1)

    async def register_all():
        tries = (auth.database.write(partial(create, new(place))) for place in range(40))
        return await asyncio.gather(*tries, return_exceptions=True)

    with TestClient(app) as client:
        outcomes = client.portal.call(register_all)
        rows = client.portal.call(auth.database.read, lambda tx: tx.value(select(func.count()).select_from(table)))
        found = [
            client.portal.call(auth.database.read, lambda tx, s=spelling: OwnUsers().find(tx, s))
            for spelling in spellings
        ]
    assert sorted(type(one).__name__ for one in outcomes) == ["RegistrationConflict"] * 39 + ["User"]
    assert all(isinstance(one, RegistrationConflict) for one in outcomes if isinstance(one, Exception))
    assert rows == 1
    assert len({one.id for one in found}) == 1


def test_a_change_to_a_taken_name_is_refused_and_changes_nothing(database_url):
    """In any spelling, also by change instead of registration; one's own name may be spelled anew."""
    app = FastAPI()
    auth, users = fitted(app, database_url), OwnUsers()
    with TestClient(app) as client:
        write = lambda work: client.portal.call(auth.database.write, work)
        ann = write(lambda tx: users.create(tx, NewUser(email="ann@example.com", username="ann"), 1))
        bea = write(lambda tx: users.create(tx, NewUser(email="bea@example.com", username="bea"), 1))
        for changes in ({"email": "ＡNN@example.com"}, {"username": "Ann"}):
            with pytest.raises(RegistrationConflict):
                write(lambda tx, changes=changes: users.change(tx, bea.id, changes, 2))
        assert client.portal.call(auth.database.read, lambda tx: users.get(tx, bea.id)) == bea
        assert write(lambda tx: users.change(tx, ann.id, {"username": "ANN"}, 2)).username == "ANN"
