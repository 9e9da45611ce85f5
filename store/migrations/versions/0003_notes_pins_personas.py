"""What a person can set on a chat: pins, notes, who they are. Limits of an account, pictures of characters."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "personas",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_personas_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_personas"),
    )
    op.create_index("ix_personas_owner_id", "personas", ["owner_id"], unique=False)
    op.create_table(
        "pictures",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_pictures_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_pictures"),
    )
    op.create_index("ix_pictures_owner_id", "pictures", ["owner_id"], unique=False)
    op.add_column("messages", sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("chats", sa.Column("author_note", sa.Text(), nullable=False, server_default=""))
    op.add_column("chats", sa.Column("reference", sa.Text(), nullable=False, server_default=""))
    op.add_column("characters", sa.Column("deleted_at", sa.Double(), nullable=True))
    op.add_column("users", sa.Column("daily_minutes", sa.Integer(), nullable=True))
    op.add_column("users", sa.Column("quiet_from", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("quiet_until", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("quiet_until", "quiet_from", "daily_minutes"):
        op.drop_column("users", column)
    op.drop_column("characters", "deleted_at")
    op.drop_column("chats", "reference")
    op.drop_column("chats", "author_note")
    op.drop_column("messages", "pinned")
    op.drop_table("pictures")
    op.drop_table("personas")
