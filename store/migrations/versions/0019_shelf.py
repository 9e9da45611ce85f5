"""The shelf of models: files, parts, plans, choices."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATES = (
    "state IN ('asked', 'listed', 'looked', 'waiting', 'fetching', 'checking', 'installed', 'paused', 'failed', "
    "'canceled', 'gone')"
)
WANTED = "wanted IN ('', 'look', 'get', 'pause', 'cancel', 'remove')"
CHOICE_STATES = "state IN ('wanted', 'loading', 'serving', 'failed')"


def upgrade() -> None:
    _files()
    _parts_and_plans()
    op.create_table(
        "model_choices",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("worker", "name", "previous")),
        sa.Column("chosen_by", sa.String(32), nullable=False),
        sa.Column("chosen_at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=False),
        sa.CheckConstraint(CHOICE_STATES, name="ck_model_choices_state"),
        sa.PrimaryKeyConstraint("worker", name="pk_model_choices"),
    )


def _files() -> None:
    texts = ("name", "repo", "path", "url", "sha256", "revision", "licence")
    op.create_table(
        "model_files",
        sa.Column("id", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("speed", sa.Double(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("added_by", sa.String(32), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.CheckConstraint(STATES, name="ck_model_files_state"),
        sa.CheckConstraint(WANTED, name="ck_model_files_wanted"),
        sa.PrimaryKeyConstraint("id", name="pk_model_files"),
        sa.UniqueConstraint("name", name="uq_model_files_name"),
    )


def _parts_and_plans() -> None:
    op.create_table(
        "model_parts",
        sa.Column("file_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["model_files.id"], name="fk_model_parts_file_id"),
        sa.PrimaryKeyConstraint("file_id", "number", name="pk_model_parts"),
    )
    op.create_table(
        "model_plans",
        sa.Column("file_id", sa.String(32), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["model_files.id"], name="fk_model_plans_file_id"),
        sa.PrimaryKeyConstraint("file_id", "worker", name="pk_model_plans"),
    )


def downgrade() -> None:
    for table in ("model_choices", "model_plans", "model_parts", "model_files"):
        op.drop_table(table)
