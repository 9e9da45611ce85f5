"""The full-text search: which messages are indexed, and the index, which is filled later in small batches."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("indexed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_messages_waiting",
        "messages",
        ["created_at"],
        sqlite_where=sa.text("indexed = 0"),
        postgresql_where=sa.text("NOT indexed"),
    )
    op.create_table(
        "search_entries",
        sa.Column("id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("message_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_search_entries"),
        sa.UniqueConstraint("message_id", name="uq_search_entries_message_id"),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE search_words USING fts5(place, words, tokenize = 'ascii')")
        return
    op.execute("CREATE TABLE search_words (id BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)")
    op.execute("CREATE INDEX ix_search_words_words ON search_words USING gin (words)")


def downgrade() -> None:
    op.execute("DROP TABLE search_words")
    op.drop_table("search_entries")
    op.drop_index("ix_messages_waiting", "messages")
    op.drop_column("messages", "indexed")
