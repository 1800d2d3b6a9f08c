"""What signing in through others means, and in which order. No HTTP in here."""

from __future__ import annotations

from rimlock.features.social.logic.landing import with_answer
from rimlock.features.social.logic.linking import id_of, link, linked, unlink
from rimlock.features.social.logic.persons import Person
from rimlock.features.social.logic.providers import (
    PRESETS,
    Endpoints,
    Provider,
    incomplete,
    provider_of,
    providers_of,
)
from rimlock.features.social.logic.signing_in import Begun, Code, Social
from rimlock.features.social.logic.transaction import Transaction, cookie_id

__all__ = [
    "PRESETS",
    "Begun",
    "Code",
    "Endpoints",
    "Person",
    "Provider",
    "Social",
    "Transaction",
    "cookie_id",
    "id_of",
    "incomplete",
    "link",
    "linked",
    "provider_of",
    "providers_of",
    "unlink",
    "with_answer",
]
