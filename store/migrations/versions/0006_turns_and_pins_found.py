"""Indexes for what is looked up with every turn: pinned messages, a chat's last turn, a person's turns of a day."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ENDED = "state IN ('done', 'failed', 'cancelled')"


def upgrade() -> None:
    op.create_index(
        "ix_messages_pinned",
        "messages",
        ["chat_id", "ordinal"],
        sqlite_where=sa.text("pinned = 1"),
        postgresql_where=sa.text("pinned"),
    )
    for name, column in (("ix_turns_ended_chat", "chat_id"), ("ix_turns_ended_owner", "owner_id")):
        op.create_index(
            name, "turns", [column, "created_at"], sqlite_where=sa.text(ENDED), postgresql_where=sa.text(ENDED)
        )


def downgrade() -> None:
    op.drop_index("ix_turns_ended_owner", "turns")
    op.drop_index("ix_turns_ended_chat", "turns")
    op.drop_index("ix_messages_pinned", "messages")
