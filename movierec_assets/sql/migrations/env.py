"""The script that Alembic runs to bring a database up to date, over the connection of `tables.migrations`.

Belongs here: the table of the version, in the schema `movierec`, and a commit after each step. Does not: the steps
(`versions`).
"""

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from movierec_assets.sql import SCHEMA

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise CommandError(
        "`alembic` is for writing migrations here. Every `movierec` command that uses the database runs them first."
    )
connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")  # where Alembic puts its table
connection.commit()
context.configure(connection=connection, version_table_schema=SCHEMA, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
