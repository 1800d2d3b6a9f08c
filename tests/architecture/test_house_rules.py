"""The house rules hold in the package, and each of them can be broken."""

from __future__ import annotations

import pytest

from architecture import rules
from architecture.source import package, parse

HEAD = '"""Purpose.\n\nThreat: one.\nSource: two.\n"""\n'

BREACHES = [
    (rules.modules_say_what_they_guard, '"""Purpose.\n\nSource: two.\n"""\nx = 1\n'),
    (rules.modules_say_what_they_guard, '"""Purpose.\n\nThreat: one.\n"""\nx = 1\n'),
    (rules.modules_say_what_they_guard, "x = 1\ny = 2\n"),
    (rules.time_has_one_source, "import time\nnow = time.time()\n"),
    (rules.time_has_one_source, "from time import time\n"),
    (rules.time_has_one_source, "import datetime\nnow = datetime.datetime.now(tz=None)\n"),
    (rules.time_has_one_source, "from datetime import datetime\ndefault = datetime.utcnow\n"),
    (rules.dice_are_not_secrets, "import random\n"),
    (rules.dice_are_not_secrets, "from random import choice\n"),
    (rules.secrets_are_compared_in_constant_time, "ok = digest == expected\n"),
    (rules.secrets_are_compared_in_constant_time, "ok = given != row.mac\n"),
    (rules.secrets_are_compared_in_constant_time, "ok = self._client_secret == given\n"),
    (rules.code_is_never_made_from_data, "eval(given)\n"),
    (rules.code_is_never_made_from_data, "import pickle\n"),
    (rules.code_is_never_made_from_data, "import yaml\nyaml.load(given)\n"),
    (rules.statements_are_never_glued, 'text(f"SELECT {name}")\n'),
    (rules.statements_are_never_glued, 'sqlalchemy.text("SELECT %s" % name)\n'),
    (rules.statements_are_never_glued, 'connection.exec_driver_sql("PRAGMA " + name)\n'),
    (rules.statements_are_never_glued, 'text("SELECT {}".format(name))\n'),
    (rules.libraries_stay_at_home, "import argon2.low_level\n"),
    (rules.libraries_stay_at_home, "from cryptography.hazmat import primitives\n"),
]

ALLOWED = [
    (rules.modules_say_what_they_guard, f"{HEAD}x = 1\n"),
    (rules.modules_say_what_they_guard, '"""A word about nothing yet."""\n'),
    (rules.time_has_one_source, "import time\nbefore = time.monotonic()\n"),
    (rules.secrets_are_compared_in_constant_time, "where = keys.c.digest == digest\n"),
    (rules.secrets_are_compared_in_constant_time, "ok = len(mac) == 32 and digest_size == 32 and machine == 1\n"),
    (rules.secrets_are_compared_in_constant_time, "ok = digest is None\n"),
    (rules.secrets_are_compared_in_constant_time, "changed = list(routes) != self._signature\n"),
    (rules.statements_are_never_glued, 'text("SELECT :name")\n'),
    (rules.statements_are_never_glued, 'exec_driver_sql(f"NOTIFY {CHANNEL}")\n'),
    (rules.statements_are_never_glued, 'render(f"{name}")\n'),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
    """No module of the package breaks the rule; the message names file, line and what to do."""
    found = [f"{module.path}:{line}: {what}" for module in package() for line, what in rule(module)]
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)


@pytest.mark.parametrize(("rule", "text"), BREACHES)
def test_a_breach_is_found(rule, text):
    """Each rule sees a planted breach, so that a silent rule is not mistaken for a clean house."""
    assert list(rule(parse(text, "rimlock.web.planted")))


@pytest.mark.parametrize(("rule", "text"), ALLOWED)
def test_honest_code_is_left_alone(rule, text):
    """What merely looks like a breach is none."""
    assert not list(rule(parse(text, "rimlock.web.planted")))


@pytest.mark.parametrize(
    ("room", "library", "welcome"),
    [
        ("rimlock.crypto.passwords", "argon2", True),
        ("rimlock.crypto.passwords.foreign", "bcrypt", True),
        ("rimlock.crypto.passwords_elsewhere", "bcrypt", False),
        ("rimlock.crypto.jose", "argon2", False),
        ("rimlock.web.gate", "redis", False),
    ],
)
def test_a_library_is_welcome_in_its_own_room_only(room, library, welcome):
    """Homes are compared by whole names: a room with a longer name is another room."""
    assert (not list(rules.libraries_stay_at_home(parse(f"import {library}\n", room)))) is welcome
