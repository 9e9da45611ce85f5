"""Notes of stories, and the switches of their memory."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    numbers = ("first_ordinal", "last_ordinal", "written_after", "level")
    op.create_table(
        "story_notes",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("chat_id", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in numbers),
        sa.Column("covered_by", sa.String(32)),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tokens", sa.LargeBinary()),
        sa.Column("model_key", sa.Text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.Double(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("edited_at", "deleted_at")),
        sa.CheckConstraint("state IN ('fresh', 'stale')", name="ck_story_notes_state"),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_story_notes_chat_id"),
        sa.PrimaryKeyConstraint("id", name="pk_story_notes"),
    )
    op.create_index("ix_story_notes_chat_id_first_ordinal", "story_notes", ["chat_id", "first_ordinal"])
    op.add_column("chats", sa.Column("memory", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))


def downgrade() -> None:
    op.drop_column("chats", "memory")
    op.drop_index("ix_story_notes_chat_id_first_ordinal", "story_notes")
    op.drop_table("story_notes")
