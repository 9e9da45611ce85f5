"""Lists of stories: which story a branch is of, where a title is from, and an index of the messages that are shown."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SHOWN = sa.text("deleted_at IS NULL")
GIVEN = """
UPDATE chats SET title_from = 'hand'
WHERE title <> (SELECT name FROM characters WHERE characters.id = chats.character_id)
"""


def upgrade() -> None:
    op.add_column("chats", sa.Column("parent_id", sa.String(32), nullable=True))
    op.add_column("chats", sa.Column("title_from", sa.Text(), nullable=False, server_default=""))
    op.execute(GIVEN)
    op.create_index("ix_messages_shown", "messages", ["chat_id", "ordinal"], sqlite_where=SHOWN, postgresql_where=SHOWN)


def downgrade() -> None:
    op.drop_index("ix_messages_shown", "messages")
    op.drop_column("chats", "title_from")
    op.drop_column("chats", "parent_id")
