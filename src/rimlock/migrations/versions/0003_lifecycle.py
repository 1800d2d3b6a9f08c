"""What the life of an account needs: messages, identities elsewhere, subscriptions, imports, a language, a host's hash.

Threat: an identity or a message lost on the way up; a column of the host's touched.
Source: design section 1.4 (every change can be undone).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the columns."""
    _outbox()
    _identities()
    _subscriptions()
    _imports()
    op.create_index("ix_auth_challenge_user_id_purpose", "auth_challenge", ["user_id", "purpose"])
    op.add_column("auth_account", sa.Column("locale", sa.String(35)))
    op.add_column("auth_account", sa.Column("host_mark", sa.String(32)))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("auth_account", "host_mark")
    op.drop_column("auth_account", "locale")
    op.drop_index("ix_auth_challenge_user_id_purpose", "auth_challenge")
    for name in ("auth_import", "auth_subscription", "auth_identity", "auth_outbox"):
        op.drop_table(name)


def _outbox() -> None:
    op.create_table(
        "auth_outbox",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64)),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("claimed_by", sa.String(32)),
        sa.Column("claimed_until", sa.BigInteger()),
        sa.Column("sent_at", sa.BigInteger()),
        sa.Column("dead_at", sa.BigInteger()),
        sa.Column("error", sa.String(200), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_auth_outbox"),
    )
    op.create_index("ix_auth_outbox_due_at", "auth_outbox", ["due_at"])
    op.create_index("ix_auth_outbox_user_id", "auth_outbox", ["user_id"])


def _identities() -> None:
    op.create_table(
        "auth_identity",
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("email", sa.String(320), nullable=False, server_default=""),
        sa.Column("verified", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_auth_identity"),
    )
    op.create_index("ix_auth_identity_user_id", "auth_identity", ["user_id"])


def _subscriptions() -> None:
    op.create_table(
        "auth_subscription",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("customer_id", sa.String(255)),
        sa.Column("plan_id", sa.String(255)),
        sa.Column("subscription_id", sa.String(255)),
        sa.Column("status", sa.String(64)),
        sa.Column("last_renewal", sa.BigInteger()),
        sa.Column("next_renewal", sa.BigInteger()),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_auth_subscription"),
        sa.UniqueConstraint("customer_id", name="uq_auth_subscription_customer_id"),
    )


def _imports() -> None:
    op.create_table(
        "auth_import",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("source_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "source_id", name="pk_auth_import"),
    )
    op.create_index("ix_auth_import_user_id", "auth_import", ["user_id"])
