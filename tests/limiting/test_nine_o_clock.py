"""Thirty people behind one address come in at nine; an attacker among them gets his five guesses and no more."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from features.password.office import GOOD, CountingHasher, installed, visiting
from limiting.test_lockout import guess
from rimlock.core.users import NewUser
from rimlock.features.password import logic

pytestmark = [pytest.mark.anyio, pytest.mark.req("L13")]
OFFICE = "192.0.2.1"


async def staffed(auth, people):
    """Make the accounts."""
    await auth.start()
    for n in range(people):
        await logic.create_user(auth.context, NewUser(email=f"user{n}@example.com"), GOOD)


@pytest.mark.parametrize("shared", [False, True])
async def test_thirty_people_sign_in_at_once_from_one_address(database_url, redis_url, shared):
    """Five are tested at a time and the others wait: nobody is turned away, with one hashing thread and few places."""
    given = {"limits_url": redis_url} if shared else {}
    app, auth, _ = installed(database_url, hash_queue=16, **given)
    async with visiting(app, auth):
        await staffed(auth, 30)
        answers = await asyncio.gather(*(guess(app, f"user{n}@example.com", GOOD, address=OFFICE) for n in range(30)))
        assert Counter(answer.status_code for answer in answers) == {200: 30}


async def test_four_of_them_mistype_and_all_others_get_in(sqlite_url):
    """Failures below the limit turn nobody away."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth):
        await staffed(auth, 30)
        words = ["mistyped" if n % 8 == 3 else GOOD for n in range(30)]
        answers = await asyncio.gather(
            *(guess(app, f"user{n}@example.com", word, address=OFFICE) for n, word in enumerate(words))
        )
        assert Counter(answer.status_code for answer in answers) == {200: 26, 401: 4}


@pytest.mark.attack("password guessing from one address")
async def test_a_guesser_among_them_gets_five_guesses(sqlite_url):
    """Forty guesses mixed among thirty sign-ins: five are tested. Who comes after that needs a device that is known."""
    hasher = CountingHasher()
    app, auth, _ = installed(sqlite_url, hasher=hasher)
    async with visiting(app, auth):
        await staffed(auth, 30)
        devices = [(await guess(app, f"user{n}@example.com", GOOD)).json()["device_token"] for n in range(30)]
        work = [guess(app, f"victim{n}@example.com", address=OFFICE) for n in range(40)]
        work += [guess(app, f"user{n}@example.com", GOOD, address=OFFICE, device=devices[n]) for n in range(30)]
        answers = await asyncio.gather(*work)
        assert Counter(answer.status_code for answer in answers[:40]) == {401: 5, 429: 35}
        assert Counter(answer.status_code for answer in answers[40:]) == {200: 30}


async def test_ten_windows_of_one_person_sign_in_at_once(sqlite_url):
    """The places of an account are given back as well."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth):
        await staffed(auth, 1)
        answers = await asyncio.gather(*(guess(app, "user0@example.com", GOOD, address=OFFICE) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}


async def test_who_finds_the_hashing_full_has_lost_no_guess(sqlite_url):
    """503 for too much work counts neither as a failure nor as a success."""
    app, auth, _ = installed(sqlite_url, hash_queue=0)
    async with visiting(app, auth):
        await staffed(auth, 1)
        for _ in range(3):
            found = await asyncio.gather(*(guess(app, "user0@example.com", GOOD) for _ in range(5)))
            assert {answer.status_code for answer in found} <= {200, 503}
        found = [await guess(app, "user0@example.com") for _ in range(6)]
        assert [answer.status_code for answer in found] == [401] * 5 + [429]
