"""Sharing of characters and lorebooks, and what children ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INDEXES = {"shares": ("owner_id", "person_id"), "wishes": ("owner_id", "state", "character_id")}


def upgrade() -> None:
    for table in ("characters", "books"):
        op.add_column(table, sa.Column("shared", sa.Text(), nullable=False, server_default="private"))
    op.add_column("books", sa.Column("rating", sa.Text(), nullable=False, server_default="everyone"))
    op.add_column("books", sa.Column("deleted_at", sa.Double(), nullable=True))
    op.create_table(
        "shares",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("character_id", sa.String(32), nullable=True),
        sa.Column("book_id", sa.String(32), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_shares_owner_id"),
        sa.ForeignKeyConstraint(["person_id"], ["users.id"], name="fk_shares_person_id"),
        sa.ForeignKeyConstraint(["character_id"], ["characters.id"], name="fk_shares_character_id"),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name="fk_shares_book_id"),
        sa.PrimaryKeyConstraint("id", name="pk_shares"),
        sa.UniqueConstraint("character_id", "person_id", name="uq_shares_character_id_person_id"),
        sa.UniqueConstraint("book_id", "person_id", name="uq_shares_book_id_person_id"),
    )
    op.create_table(
        "wishes",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("character_id", sa.String(32), nullable=True),
        sa.Column("answered_by", sa.String(32), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("answered_at", sa.Double(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'granted', 'declined')", name="ck_wishes_state"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_wishes_owner_id"),
        sa.ForeignKeyConstraint(["character_id"], ["characters.id"], name="fk_wishes_character_id"),
        sa.ForeignKeyConstraint(["answered_by"], ["users.id"], name="fk_wishes_answered_by"),
        sa.PrimaryKeyConstraint("id", name="pk_wishes"),
    )
    for table, columns in INDEXES.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    op.drop_table("wishes")
    op.drop_table("shares")
    for column in ("deleted_at", "rating"):
        op.drop_column("books", column)
    for table in ("books", "characters"):
        op.drop_column(table, "shared")
