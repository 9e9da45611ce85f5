"""A background of a character."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("characters", sa.Column("background", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("characters", "background")
