"""Tables, views and triggers, in an empty database or in one that an earlier version made."""

from alembic import op

from movierec_assets.sql import read_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what is missing, and keep every rating."""
    # As it stands: a colon or a percent sign in it is no parameter.
    op.get_bind().exec_driver_sql(
        read_sql("migrations/versions/0001_ratings"), execution_options={"no_parameters": True}
    )
