"""All kinds of turns: what an ended turn wrote, how often it died, the status panel of a wording."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turns", sa.Column("crashes", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("turns", sa.Column("result", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("alternatives", sa.Column("status", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("alternatives", "status")
    op.drop_column("turns", "result")
    op.drop_column("turns", "crashes")
