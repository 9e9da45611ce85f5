"""The first tables: people, invitations, characters, chats with their messages, turns."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UNFINISHED = "state IN ('waiting', 'queued', 'waking', 'reading', 'writing')"


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("theme", sa.Text(), nullable=False),
        sa.Column("session_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'adult', 'teen', 'child')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name_key", name="uq_users_name_key"),
    )
    op.create_table(
        "characters",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("slug", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.String(length=32), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tagline", sa.Text(), nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.Column("avatar", sa.Text(), nullable=False),
        sa.Column("rating", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("rating IN ('everyone', 'teen', 'adult')", name=op.f("ck_characters_rating")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_characters_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_characters"),
        sa.UniqueConstraint("slug", name="uq_characters_slug"),
    )
    op.create_index("ix_characters_owner_id", "characters", ["owner_id"], unique=False)

    op.create_table(
        "invites",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.Column("used_by", sa.String(length=32), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint("role IN ('admin', 'adult', 'teen', 'child')", name=op.f("ck_invites_role")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_invites_created_by"),
        sa.ForeignKeyConstraint(["used_by"], ["users.id"], name="fk_invites_used_by"),
        sa.PrimaryKeyConstraint("id", name="pk_invites"),
        sa.UniqueConstraint("token_hash", name="uq_invites_token_hash"),
    )
    op.create_table(
        "chats",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("character_id", sa.String(length=32), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("user_persona", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("window", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["character_id"], ["characters.id"], name="fk_chats_character_id"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_chats_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_chats"),
    )
    op.create_index("ix_chats_character_id", "chats", ["character_id"], unique=False)
    op.create_index("ix_chats_owner_id_updated_at", "chats", ["owner_id", "updated_at"], unique=False)

    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("chat_id", sa.String(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.CheckConstraint("role IN ('user', 'character', 'narrator', 'system')", name=op.f("ck_messages_role")),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_messages_chat_id"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("chat_id", "ordinal", name="uq_messages_chat_id_ordinal"),
    )
    op.create_table(
        "alternatives",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tokens", sa.LargeBinary(), nullable=True),
        sa.Column("model_key", sa.Text(), nullable=True),
        sa.Column("finish", sa.Text(), nullable=True),
        sa.Column("turn_id", sa.String(length=32), nullable=True),
        sa.Column("stats", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_alternatives_message_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alternatives"),
        sa.UniqueConstraint("message_id", "position", name="uq_alternatives_message_id_position"),
    )
    op.create_index("ix_alternatives_turn_id", "alternatives", ["turn_id"], unique=False)

    op.create_table(
        "turns",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("chat_id", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("user_message_id", sa.String(length=32), nullable=True),
        sa.Column("reply_message_id", sa.String(length=32), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("partial", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("stats", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('chat', 'retry', 'continue', 'narrate', 'suggest', 'status')", name=op.f("ck_turns_kind")
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'queued', 'waking', 'reading', 'writing', 'done', 'failed', 'cancelled')",
            name=op.f("ck_turns_state"),
        ),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_turns_chat_id"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_turns_owner_id"),
        sa.ForeignKeyConstraint(["reply_message_id"], ["messages.id"], name="fk_turns_reply_message_id"),
        sa.ForeignKeyConstraint(["user_message_id"], ["messages.id"], name="fk_turns_user_message_id"),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
    )
    op.create_index("ix_turns_ended_at", "turns", ["ended_at"], unique=False)
    op.create_index("ix_turns_owner_id_state", "turns", ["owner_id", "state"], unique=False)
    op.create_index("ix_turns_state_created_at", "turns", ["state", "created_at"], unique=False)
    op.create_index(
        "uq_turns_unfinished_chat",
        "turns",
        ["chat_id"],
        unique=True,
        sqlite_where=sa.text(UNFINISHED),
        postgresql_where=sa.text(UNFINISHED),
    )


def downgrade() -> None:
    for table in ("turns", "alternatives", "messages", "chats", "invites", "characters", "users"):
        op.drop_table(table)
