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
    with op.batch_alter_table("messages") as messages:
        messages.add_column(sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("chats") as chats:
        chats.add_column(sa.Column("author_note", sa.Text(), nullable=False, server_default=""))
        chats.add_column(sa.Column("reference", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("characters") as characters:
        characters.add_column(sa.Column("deleted_at", sa.Double(), nullable=True))
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("daily_minutes", sa.Integer(), nullable=True))
        users.add_column(sa.Column("quiet_from", sa.Text(), nullable=True))
        users.add_column(sa.Column("quiet_until", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        for column in ("quiet_until", "quiet_from", "daily_minutes"):
            users.drop_column(column)
    with op.batch_alter_table("characters") as characters:
        characters.drop_column("deleted_at")
    with op.batch_alter_table("chats") as chats:
        chats.drop_column("reference")
        chats.drop_column("author_note")
    with op.batch_alter_table("messages") as messages:
        messages.drop_column("pinned")
    op.drop_table("pictures")
    op.drop_table("personas")
