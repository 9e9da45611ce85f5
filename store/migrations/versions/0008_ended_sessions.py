"""Sessions that were ended by signing out: a copy of their cookie does not count."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_ended_sessions_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_ended_sessions"),
    )
    for column in ("owner_id", "ended_at"):
        op.create_index(f"ix_ended_sessions_{column}", "ended_sessions", [column])


def downgrade() -> None:
    op.drop_table("ended_sessions")
