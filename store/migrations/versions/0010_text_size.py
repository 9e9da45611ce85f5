"""How large the text of stories is shown to a person."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("text_size", sa.Text(), nullable=False, server_default="normal"))


def downgrade() -> None:
    op.drop_column("users", "text_size")
