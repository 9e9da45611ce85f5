"""What the model read for an alternative."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alternatives", sa.Column("prompt", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("alternatives", "prompt")
