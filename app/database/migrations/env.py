"""Alembic's entry: writes the revisions as one SQL script, which `app.database.migrate` runs.

Alembic's offline mode, because only asyncpg drives our PostgreSQL: a revision is SQL and operations
(several statements in one `op.execute` are fine) and can't read the database from Python.
https://alembic.sqlalchemy.org/en/latest/offline.html
"""

from alembic import context

context.configure(
    dialect_name="postgresql",
    dialect_opts={"paramstyle": "named"},
    literal_binds=True,
    transactional_ddl=False,  # the caller runs the whole script in one transaction
    version_table_schema="public",
)
with context.begin_transaction():
    context.run_migrations()
