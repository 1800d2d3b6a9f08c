"""Our tables: SQLAlchemy Core, prefixed `auth_`, beside the host's and never inside them.

Threat: a column that holds a usable secret; a guard that is not also a constraint.
Source: OWASP ASVS 5.0 V6.5.2 (what may be stored as a plain digest), V14.1.1 (classification).

Times are whole seconds since the epoch. Identifiers are text, so that a host's integer, UUID or string keys fit.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
    true,
)

__all__ = [
    "TABLE_PREFIX",
    "VERSION_TABLE",
    "account",
    "api_key",
    "audit",
    "challenge",
    "identity",
    "imported",
    "invitation",
    "journal",
    "limit",
    "metadata",
    "outbox",
    "retirement",
    "rollout",
    "session",
    "signing_key",
    "subscription",
    "usage",
    "usage_batch",
    "user",
]

TABLE_PREFIX = "auth_"
VERSION_TABLE = "auth_schema_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_serial = BigInteger().with_variant(Integer, "sqlite")

user = Table(
    "auth_user",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(320), nullable=False),
    Column("email_key", String(320), nullable=False, unique=True),
    Column("username", String(64)),
    Column("username_key", String(64), unique=True),
    Column("display_name", String(200), nullable=False, server_default=""),
    Column("avatar_url", String(2000), nullable=False, server_default=""),
    Column("profile", JSON, nullable=False, server_default=text("'{}'")),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""Who somebody is. A host with a user table of its own puts that in its place."""

account = Table(
    "auth_account",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("password_hash", String(1024)),
    Column("roles", JSON, nullable=False, server_default=text("'[]'")),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("verified", Boolean, nullable=False, server_default=false()),
    Column("must_change_password", Boolean, nullable=False, server_default=false()),
    Column("password_changed_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("password_expires_at", BigInteger),
    Column("waiting", Boolean, nullable=False, server_default=false()),
    Column("locale", String(35)),
    Column("host_mark", String(32)),
)
"""What somebody may do, kept beside any user table. The epoch goes up when every token issued so far must die.

`host_mark`: by what the hash in a host's own table is known again, and whose hash counts.
"""

session = Table(
    "auth_session",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("methods", String(100), nullable=False),
    Column("refreshed_at", BigInteger, nullable=False),
    Column("idle_seconds", Integer, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("remembered", Boolean, nullable=False),
    Column("transport", String(8), nullable=False),
    Column("device", String(200), nullable=False, server_default=""),
    Column("address", String(45), nullable=False, server_default=""),
    Column("ended_at", BigInteger),
    Column("end_reason", String(32)),
    Index(None, "user_id", "ended_at"),
    Index(None, "expires_at"),
)
"""One signed-in device. The generation is the single-use guard of its refresh token, which is stored nowhere."""

journal = Table(
    "auth_journal",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("value", BigInteger, nullable=False, server_default="0"),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
    sqlite_autoincrement=True,
)
"""What every process has to hear of: ended sessions, raised epochs, revoked keys, changed rules."""

api_key = Table(
    "auth_api_key",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("hint", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("user_id", String(64)),
    Column("scopes", JSON, nullable=False, server_default=text("'[]'")),
    Column("roles", JSON, nullable=False, server_default=text("'[]'")),
    Column("source", String(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("replaced_by", String(32)),
    Index(None, "user_id"),
)
"""API keys by SHA-256 digest; the key itself is shown once and stored nowhere."""

signing_key = Table(
    "auth_signing_key",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("public", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("verifies_until", BigInteger),
)
"""Keys for access tokens, the private half sealed under the root secret."""

challenge = Table(
    "auth_challenge",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("user_id", String(64)),
    Column("data", JSON, nullable=False, server_default=text("'{}'")),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("consumed_at", BigInteger),
    Index(None, "expires_at"),
    Index(None, "user_id", "purpose"),
)
"""Single-use secrets, bound to a purpose, by digest."""

rollout = Table(
    "auth_rollout",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("method", String(16), nullable=False),
    Column("path", String(500), nullable=False),
    Column("stage", String(16)),
    Column("before", String(16)),
    Column("actor", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reverts", BigInteger),
    Column("percent", Integer, nullable=False, server_default="100"),
    Column("until", BigInteger),
    sqlite_autoincrement=True,
)
"""Every change of a stage at run time, appended and never edited: the newest of a target is in force."""

usage = Table(
    "auth_usage",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("method", String(16), primary_key=True),
    Column("path", String(500), primary_key=True),
    Column("credential", String(16), primary_key=True),
    Column("credential_id", String(64), primary_key=True),
    Column("stage", String(16), primary_key=True),
    Column("outcome", String(64), primary_key=True),
    Column("client", String(40), primary_key=True),
    Column("label", String(200), nullable=False, server_default=""),
    Column("requests", BigInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
)
"""Who called what, with which credential, and what a required route would have said: one row a day."""

usage_batch = Table(
    "auth_usage_batch",
    metadata,
    Column("writer", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""How far each process wrote its counts, so that a batch that is tried again is counted once."""

retirement = Table(
    "auth_retirement",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("target", String(80), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("deprecated_at", BigInteger),
    Column("sunset_at", BigInteger),
    Column("link", String(2000), nullable=False, server_default=""),
    Column("percent", Integer, nullable=False, server_default="100"),
    Column("windows", JSON, nullable=False, server_default=text("'[]'")),
    Column("refuse_after_sunset", Boolean, nullable=False, server_default=false()),
    Column("actor", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reverts", BigInteger),
    Index(None, "target", "id"),
    sqlite_autoincrement=True,
)
"""Keys and kinds of credential on their way out, appended and never edited: the newest of a target is in force."""

limit = Table(
    "auth_limit",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("hits", Integer, nullable=False),
    Column("resets_at", BigInteger, nullable=False),
    Column("pending", Integer, nullable=False, server_default="0"),
    Column("pending_until", BigInteger, nullable=False, server_default="0"),
    Index(None, "resets_at"),
)
"""Failures, each count good until it resets, and attempts whose outcome is not known yet."""

audit = Table(
    "auth_audit",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("event", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("actor", String(200), nullable=False, server_default=""),
    Column("subject", String(64), nullable=False, server_default=""),
    Column("address", String(45), nullable=False, server_default=""),
    Column("agent", String(200), nullable=False, server_default=""),
    Column("facts", JSON, nullable=False, server_default=text("'{}'")),
    Index(None, "at"),
    Index(None, "subject", "at"),
    Index(None, "actor", "at"),
    Index(None, "event", "at"),
    sqlite_autoincrement=True,
)
"""Who did what to whom, when, from where, and how it ended. Appended in the transaction it tells of."""

invitation = Table(
    "auth_invitation",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("hint", String(32), nullable=False),
    Column("note", String(200), nullable=False, server_default=""),
    Column("email_key", String(320)),
    Column("roles", JSON, nullable=False, server_default=text("'[]'")),
    Column("seats", Integer, nullable=False),
    Column("used", Integer, nullable=False, server_default="0"),
    Column("created_by", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Index(None, "expires_at"),
)
"""Codes that let somebody make an account, by digest. `used` never passes `seats`."""

outbox = Table(
    "auth_outbox",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("user_id", String(64)),
    Column("sealed", LargeBinary),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claimed_by", String(32)),
    Column("claimed_until", BigInteger),
    Column("sent_at", BigInteger),
    Column("dead_at", BigInteger),
    Column("error", String(200), nullable=False, server_default=""),
    Index(None, "due_at"),
    Index(None, "user_id"),
)
"""Messages to people, written in the transaction that causes them. What they say is sealed, and gone once sent."""

identity = Table(
    "auth_identity",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("email", String(320), nullable=False, server_default=""),
    Column("verified", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index(None, "user_id"),
)
"""Who somebody is elsewhere: an issuer and a subject lead to one user, an address never does."""

subscription = Table(
    "auth_subscription",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("customer_id", String(255), unique=True),
    Column("plan_id", String(255)),
    Column("subscription_id", String(255)),
    Column("status", String(64)),
    Column("last_renewal", BigInteger),
    Column("next_renewal", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
)
"""What a payment provider knows of a user, as the host writes it down."""

imported = Table(
    "auth_import",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("source_id", String(255), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("made", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "user_id"),
)
"""Which users came from elsewhere, so that an import is done once and can be undone. `made`: by the import itself."""
