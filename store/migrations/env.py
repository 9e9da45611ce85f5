"""Alembic's door: `Database.migrate()` hands the connection over; all pending versions run in its one transaction."""

from alembic import context

from store.models import User

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=User.metadata,
    transactional_ddl=True,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
