"""Lorebooks, what imported files had that nobody reads, and what holds for the whole house."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "books",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_books_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_books"),
    )
    op.create_index("ix_books_owner_id", "books", ["owner_id"], unique=False)
    op.create_table(
        "house",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_house"),
    )
    op.add_column("chats", sa.Column("lore", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("chats", sa.Column("extras", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("messages", sa.Column("extras", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("messages", "extras")
    op.drop_column("chats", "extras")
    op.drop_column("chats", "lore")
    op.drop_table("house")
    op.drop_table("books")
