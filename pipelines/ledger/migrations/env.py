"""Runs revisions on the connection that it is given, inside that connection's transaction."""

from alembic import context

from pipelines.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # One transaction for all, on SQLite too: a crash leaves the ledger as it was.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
