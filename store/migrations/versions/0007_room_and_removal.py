"""What a person keeps (quotas), accounts that are being removed, and the indexes that removing needs."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PRESENT, DELETED = "deleted_at IS NULL", "deleted_at IS NOT NULL AND title <> ''"
REFERENCES = (("chat_id", "state"), ("user_message_id",), ("reply_message_id",))
COUNT = """
UPDATE users SET
  stored_messages = (SELECT count(*) FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.owner_id = users.id),
  stored_bytes = coalesce((
    SELECT sum({bytes} + coalesce(length(a.tokens), 0)) FROM alternatives a
    JOIN messages m ON m.id = a.message_id JOIN chats c ON c.id = m.chat_id WHERE c.owner_id = users.id
  ), 0) + coalesce((
    SELECT sum({extras}) FROM messages m JOIN chats c ON c.id = m.chat_id
    WHERE c.owner_id = users.id AND m.extras IS NOT NULL
  ), 0)
"""


def upgrade() -> None:
    for name in ("stored_messages", "stored_bytes"):
        op.add_column("users", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("users", sa.Column("deleted_at", sa.Double(), nullable=True))
    for name, column, where in (("ix_chats_present", "owner_id", PRESENT), ("ix_chats_deleted", "deleted_at", DELETED)):
        op.create_index(name, "chats", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    for columns in REFERENCES:
        op.create_index(f"ix_turns_{'_'.join(columns)}", "turns", list(columns))
    sqlite = op.get_bind().dialect.name == "sqlite"
    lengths = (
        {"bytes": "length(CAST(a.text AS BLOB))", "extras": "length(CAST(m.extras AS BLOB))"}
        if sqlite
        else {"bytes": "octet_length(a.text)", "extras": "octet_length(CAST(m.extras AS TEXT))"}
    )
    op.execute(COUNT.format(**lengths))


def downgrade() -> None:
    for columns in REFERENCES:
        op.drop_index(f"ix_turns_{'_'.join(columns)}", "turns")
    op.drop_index("ix_chats_deleted", "chats")
    op.drop_index("ix_chats_present", "chats")
    for name in ("deleted_at", "stored_bytes", "stored_messages"):
        op.drop_column("users", name)
