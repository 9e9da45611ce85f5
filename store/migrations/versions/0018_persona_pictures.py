"""A picture of a persona."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("personas", sa.Column("avatar", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("personas", "avatar")
