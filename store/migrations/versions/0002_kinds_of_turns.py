"""All kinds of turns: what an ended turn wrote, how often it died, the status panel of a wording."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("turns") as turns:
        turns.add_column(sa.Column("crashes", sa.Integer(), nullable=False, server_default="0"))
        turns.add_column(sa.Column("result", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("alternatives") as alternatives:
        alternatives.add_column(sa.Column("status", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("alternatives") as alternatives:
        alternatives.drop_column("status")
    with op.batch_alter_table("turns") as turns:
        turns.drop_column("result")
        turns.drop_column("crashes")
