"""What a change-over needs: usage, retirements, limits, the audit, invitations, and what accounts and keys lack.

Threat: a count of callers lost on the way up or down.
Source: design section 1.4 (every change can be undone).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables and columns, and carry the observations over into usage."""
    _usage()
    _retirements()
    _limits()
    _audit()
    _invitations()
    _widen()
    op.execute(_OBSERVED_INTO_USAGE)
    op.drop_table("auth_observation")


def downgrade() -> None:
    """Carry what would have been refused back into observations, and remove the rest."""
    _observations()
    op.execute(_USAGE_INTO_OBSERVED)
    _narrow()
    for name in ("auth_usage", "auth_usage_batch", "auth_retirement", "auth_limit", "auth_audit", "auth_invitation"):
        op.drop_table(name)


def _widen() -> None:
    op.add_column("auth_account", sa.Column("password_expires_at", sa.BigInteger()))
    op.add_column("auth_account", sa.Column("waiting", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("auth_api_key", sa.Column("replaced_by", sa.String(32)))
    op.add_column("auth_rollout", sa.Column("percent", sa.Integer(), nullable=False, server_default="100"))
    op.add_column("auth_rollout", sa.Column("until", sa.BigInteger()))


def _narrow() -> None:
    for name, columns in (
        ("auth_account", ("password_expires_at", "waiting")),
        ("auth_api_key", ("replaced_by",)),
        ("auth_rollout", ("percent", "until")),
    ):
        for column in columns:
            op.drop_column(name, column)


def _usage() -> None:
    named = ("day", "method", "path", "credential", "credential_id", "stage", "outcome", "client")
    op.create_table(
        "auth_usage",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("credential", sa.String(16), nullable=False),
        sa.Column("credential_id", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("client", sa.String(40), nullable=False),
        sa.Column("label", sa.String(200), nullable=False, server_default=""),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*named, name="pk_auth_usage"),
    )
    op.create_table(
        "auth_usage_batch",
        sa.Column("writer", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name="pk_auth_usage_batch"),
    )


def _retirements() -> None:
    op.create_table(
        "auth_retirement",
        sa.Column("id", _serial, autoincrement=True, nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("deprecated_at", sa.BigInteger()),
        sa.Column("sunset_at", sa.BigInteger()),
        sa.Column("link", sa.String(2000), nullable=False, server_default=""),
        sa.Column("percent", sa.Integer(), nullable=False, server_default="100"),
        sa.Column("windows", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("refuse_after_sunset", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reverts", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_auth_retirement"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_auth_retirement_target_id", "auth_retirement", ["target", "id"])


def _limits() -> None:
    op.create_table(
        "auth_limit",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("resets_at", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("pending_until", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("key", name="pk_auth_limit"),
    )
    op.create_index("ix_auth_limit_resets_at", "auth_limit", ["resets_at"])


def _audit() -> None:
    op.create_table(
        "auth_audit",
        sa.Column("id", _serial, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False, server_default=""),
        sa.Column("subject", sa.String(64), nullable=False, server_default=""),
        sa.Column("address", sa.String(45), nullable=False, server_default=""),
        sa.Column("agent", sa.String(200), nullable=False, server_default=""),
        sa.Column("facts", sa.JSON(), nullable=False, server_default=sa.text("'{}'")),
        sa.PrimaryKeyConstraint("id", name="pk_auth_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_auth_audit_at", "auth_audit", ["at"])
    for column in ("subject", "actor", "event"):
        op.create_index(f"ix_auth_audit_{column}_at", "auth_audit", [column, "at"])


def _invitations() -> None:
    op.create_table(
        "auth_invitation",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(32), nullable=False),
        sa.Column("note", sa.String(200), nullable=False, server_default=""),
        sa.Column("email_key", sa.String(320)),
        sa.Column("roles", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_auth_invitation"),
        sa.UniqueConstraint("digest", name="uq_auth_invitation_digest"),
    )
    op.create_index("ix_auth_invitation_expires_at", "auth_invitation", ["expires_at"])


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


_OBSERVED_INTO_USAGE = """
INSERT INTO auth_usage (day, method, path, credential, credential_id, stage, outcome, client, label, requests,
                        first_seen, last_seen)
SELECT last_seen / 86400, method, path, credential, credential_id, 'observe', outcome, '', label, requests,
       first_seen, last_seen
FROM auth_observation
"""
_USAGE_INTO_OBSERVED = """
INSERT INTO auth_observation (method, path, credential, credential_id, outcome, label, requests, first_seen, last_seen)
SELECT method, path, credential, credential_id, outcome, max(label), sum(requests), min(first_seen), max(last_seen)
FROM auth_usage WHERE outcome <> 'allowed' AND stage <> 'required'
GROUP BY method, path, credential, credential_id, outcome
"""
