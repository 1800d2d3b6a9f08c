"""Links in any order, by anybody who holds them: each works for what it was mailed for, once, and under what it was."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from features.email_verification.postbox import GOOD, posted
from rimlock.core import accounts
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.principal import Principal
from rimlock.core.registering import open_user
from rimlock.core.users import NewUser, RegistrationConflict
from rimlock.features.email_verification import logic as addresses
from rimlock.features.password_recovery import logic as recovery
from rimlock.testing import FrozenClock

PAGES = {"verify-email": "verify", "reset-password": "reset", "change-email": "change"}
LIFETIMES = {"verify": 1800, "reset": 3600, "change": 1800}
MAILS = 5


class LinkMachine(RuleBasedStateMachine):
    """Two accounts, their mailboxes, and somebody who tries every link for everything.

    The model keeps for each link: its purpose, account, address, epoch, end, and whether it was spent or withdrawn; for
    each account: address, epoch, whether it is proven and may act, and when links of a purpose were mailed.
    """

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FrozenClock()
        url = f"sqlite:///{Path(self.folder.name) / 'machine.db'}"
        _, self.auth, _, self.box = posted(url, clock=self.clock, login_rate=10**6, registration_rate=10**6)
        self.context = self.auth.context
        self.run(self.auth.start())
        self.links, self.people, self.wanted, self.seen = [], {}, {}, 0

    def teardown(self):
        self.run(self.auth.stop())
        self.loop.close()
        self.folder.cleanup()

    def run(self, work):
        return self.loop.run_until_complete(work)

    def write(self, work):
        return self.run(self.context.database.write(work))

    @initialize()
    def register(self):
        """Two people register."""
        for name in ("ann", "ben"):
            email = f"{name}@example.com"
            hashed = self.context.passwords.hasher.hash(GOOD)

            def make(tx, email=email, hashed=hashed):
                new = NewUser(email=email)
                made = open_user(
                    self.context.users, tx, new, now=self.context.now(), by="registration", password_hash=hashed
                )
                return made.user.id

            user_id = self.write(make)
            self.people[user_id] = {"email": email, "epoch": 0, "verified": False, "active": True, "mailed": {}}
            self.people[user_id]["password"] = GOOD
            self.take()

    def take(self):
        """Read what was mailed since, and note what it withdraws."""
        for message in self.box.messages[self.seen :]:
            if "link" not in message.facts:
                continue
            page, _, token = message.facts["link"].rpartition("/")[2].partition("?token=")
            purpose, person = PAGES[page], self.people[message.user_id]
            for link in self.links:
                if (link["whose"], link["purpose"]) == (message.user_id, purpose):
                    link["over"] = True
            person["mailed"].setdefault(purpose, []).append(int(self.clock()))
            self.links.append(
                {
                    "token": token,
                    "purpose": purpose,
                    "whose": message.user_id,
                    "email": person["email"],
                    "epoch": person["epoch"],
                    "to": message.to,
                    "ends": int(self.clock()) + LIFETIMES[purpose],
                    "over": False,
                }
            )
        self.seen = len(self.box.messages)

    def may_have(self, user_id, purpose):
        """Whether a person gets another link now."""
        recent = [at for at in self.people[user_id]["mailed"].get(purpose, ()) if at > int(self.clock()) - 3600]
        return len(recent) < MAILS

    def good(self, link, purpose):
        """Whether a link would do what it is for."""
        person = self.people[link["whose"]]
        bound = purpose == "verify" or link["epoch"] == person["epoch"]
        alive = link["purpose"] == purpose and not link["over"] and link["ends"] > int(self.clock())
        return alive and bound and person["active"] and link["email"] == person["email"]

    def withdraw_all(self, user_id):
        for link in self.links:
            link["over"] |= link["whose"] == user_id

    def person_of(self, number):
        return list(self.people)[number]

    @rule(number=st.integers(0, 1), what=st.sampled_from(["verify", "reset"]))
    def ask(self, number, what):
        """Somebody asks for a link; who needs none, or has enough, gets none."""
        user_id = self.person_of(number)
        person, before = self.people[user_id], len(self.box.messages)
        due = person["active"] and self.may_have(user_id, what) and not (what == "verify" and person["verified"])
        asked = addresses.request if what == "verify" else recovery.request
        self.run(asked(self.context, person["email"].upper()))
        assert len(self.box.messages) - before == int(due)
        self.take()

    @rule(number=st.integers(0, 1), to=st.sampled_from(["c", "d", "ann", "ben"]))
    def begin(self, number, to):
        """Somebody who knows the password begins to change an address."""
        user_id, email = self.person_of(number), f"{to}@example.com"
        person = self.people[user_id]
        if not person["active"] or person["email"] == email:
            return
        taken = any(one["email"] == email for one in self.people.values())
        due = self.reaches(email) and not taken and self.may_have(user_id, "change")
        before = len(self.links)
        principal = Principal(subject=user_id, kind="token", credential_id="0" * 32, user_id=user_id)
        self.run(addresses.begin_change(self.context, principal, email, person["password"]))
        self.take()
        assert len(self.links) - before == int(due)

    def reaches(self, email):
        """Whether an address is written to once more because somebody wants it: five times within an hour."""
        now = int(self.clock())
        since, count = self.wanted.get(email, (now, 0))
        since, count = (now, 0) if since + 3600 <= now else (since, count)
        self.wanted[email] = since, count + 1
        return count < MAILS

    @rule(data=st.data(), what=st.sampled_from(["verify", "reset", "change"]))
    def use(self, data, what):
        """Any link that was ever mailed is used for anything."""
        if not self.links:
            return
        link = data.draw(st.sampled_from(self.links))
        getattr(self, f"use_to_{what}")(link, self.people[link["whose"]])
        self.take()

    def use_to_verify(self, link, person):
        good = self.good(link, "verify")
        came_back = (
            link["purpose"] == "verify"
            and person["verified"]
            and person["active"]
            and link["ends"] > int(self.clock())
            and link["email"] == person["email"]
        )
        try:
            outcome = self.run(addresses.confirm(self.context, link["token"]))
        except ChallengeRefused:
            assert not good
            assert not came_back
            return
        assert good or came_back
        if type(outcome) is addresses.Verified:
            assert good
            assert not person["verified"]
            person["verified"] = True
            self.withdraw_all(link["whose"])

    def use_to_reset(self, link, person):
        good, password = self.good(link, "reset"), f"{GOOD} {len(self.links)}"
        try:
            self.run(recovery.reset(self.context, link["token"], password))
        except ChallengeRefused:
            assert not good
            return
        assert good
        person["verified"], person["epoch"], person["password"] = True, person["epoch"] + 1, password
        self.withdraw_all(link["whose"])

    def use_to_change(self, link, person):
        good = self.good(link, "change")
        try:
            self.run(addresses.confirm_change(self.context, link["token"]))
        except ChallengeRefused:
            assert not good
            return
        except RegistrationConflict:
            assert good
            assert any(one is not person and one["email"] == link["to"] for one in self.people.values())
            return
        assert good
        person["email"], person["verified"] = link["to"], True
        self.withdraw_all(link["whose"])

    @rule(number=st.integers(0, 1))
    def sign_out_everywhere(self, number):
        """The epoch rises, as by another password or other roles."""
        user_id = self.person_of(number)
        self.write(lambda tx: accounts.raise_epoch(tx, user_id, now=self.context.now()))
        self.people[user_id]["epoch"] += 1

    @rule(number=st.integers(0, 1), active=st.booleans())
    def disable(self, number, active):
        """An administrator shuts an account, or opens it again."""
        user_id = self.person_of(number)
        self.write(lambda tx: accounts.set_active(tx, user_id, active=active, now=self.context.now()))
        self.people[user_id]["active"] = active
        self.people[user_id]["epoch"] += 1

    @rule(seconds=st.sampled_from([1, 600, 1799, 1800, 3600]))
    def wait(self, seconds):
        """Time goes by."""
        self.clock.advance(seconds)

    @invariant()
    def the_database_agrees(self):
        """Address, proof and epoch are what the model says."""
        for user_id, person in self.people.items():
            account = self.run(self.context.database.read(lambda tx, which=user_id: accounts.standing(tx, which)))
            user = self.run(self.context.database.read(lambda tx, which=user_id: self.context.users.get(tx, which)))
            assert (account.verified, account.epoch, account.active) == (
                person["verified"],
                person["epoch"],
                person["active"],
            )
            assert user.email == person["email"]


TestLinks = pytest.mark.req("F1")(LinkMachine.TestCase)
TestLinks.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
