"""The first tables: users, accounts, sessions, journal, keys, challenges, rollout, observations.

Threat: a first revision that builds what the code says today instead of what it said when the revision was written.
Source: core/schema.py at version 0.1; a test compares the two on both databases.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    _people()
    _accounts()
    _sessions()
    _journal()
    _api_keys()
    _signing_keys()
    _challenges()
    _rollout()
    _observations()


def downgrade() -> None:
    """Drop the same tables; their indexes go with them."""
    for name in (
        "auth_observation",
        "auth_rollout",
        "auth_challenge",
        "auth_signing_key",
        "auth_api_key",
        "auth_journal",
        "auth_session",
        "auth_account",
        "auth_user",
    ):
        op.drop_table(name)


def _people() -> None:
    op.create_table(
        "auth_user",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("email_key", sa.String(320), nullable=False),
        sa.Column("username", sa.String(64)),
        sa.Column("username_key", sa.String(64)),
        sa.Column("display_name", sa.String(200), nullable=False, server_default=""),
        sa.Column("avatar_url", sa.String(2000), nullable=False, server_default=""),
        sa.Column("profile", sa.JSON(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_auth_user"),
        sa.UniqueConstraint("email_key", name="uq_auth_user_email_key"),
        sa.UniqueConstraint("username_key", name="uq_auth_user_username_key"),
    )


def _accounts() -> None:
    op.create_table(
        "auth_account",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("password_hash", sa.String(1024)),
        sa.Column("roles", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("verified", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("must_change_password", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("password_changed_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", name="pk_auth_account"),
    )


def _sessions() -> None:
    op.create_table(
        "auth_session",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("methods", sa.String(100), nullable=False),
        sa.Column("refreshed_at", sa.BigInteger(), nullable=False),
        sa.Column("idle_seconds", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("remembered", sa.Boolean(), nullable=False),
        sa.Column("transport", sa.String(8), nullable=False),
        sa.Column("device", sa.String(200), nullable=False, server_default=""),
        sa.Column("address", sa.String(45), nullable=False, server_default=""),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("end_reason", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_auth_session"),
    )
    op.create_index("ix_auth_session_user_id_ended_at", "auth_session", ["user_id", "ended_at"])
    op.create_index("ix_auth_session_expires_at", "auth_session", ["expires_at"])


def _journal() -> None:
    op.create_table(
        "auth_journal",
        sa.Column("id", _serial, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_auth_journal"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_auth_journal_expires_at", "auth_journal", ["expires_at"])


def _api_keys() -> None:
    op.create_table(
        "auth_api_key",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("user_id", sa.String(64)),
        sa.Column("scopes", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("roles", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_auth_api_key"),
        sa.UniqueConstraint("digest", name="uq_auth_api_key_digest"),
    )
    op.create_index("ix_auth_api_key_user_id", "auth_api_key", ["user_id"])


def _signing_keys() -> None:
    op.create_table(
        "auth_signing_key",
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signs_from", sa.BigInteger(), nullable=False),
        sa.Column("verifies_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("kid", name="pk_auth_signing_key"),
    )


def _challenges() -> None:
    op.create_table(
        "auth_challenge",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64)),
        sa.Column("data", sa.JSON(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("consumed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_auth_challenge"),
    )
    op.create_index("ix_auth_challenge_expires_at", "auth_challenge", ["expires_at"])


def _rollout() -> None:
    op.create_table(
        "auth_rollout",
        sa.Column("id", _serial, autoincrement=True, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("stage", sa.String(16)),
        sa.Column("before", sa.String(16)),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reverts", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_auth_rollout"),
        sqlite_autoincrement=True,
    )


def _observations() -> None:
    op.create_table(
        "auth_observation",
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("credential", sa.String(16), nullable=False),
        sa.Column("credential_id", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False, server_default=""),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("method", "path", "credential", "credential_id", "outcome", name="pk_auth_observation"),
    )
