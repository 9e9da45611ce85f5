"""When somebody was suspended, and for whom an invitation is."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("suspended_at", sa.Double(), nullable=True))
    op.add_column("invites", sa.Column("name", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("invites", "name")
    op.drop_column("users", "suspended_at")
