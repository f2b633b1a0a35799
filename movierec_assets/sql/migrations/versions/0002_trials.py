"""The schema of Optuna's tables, which Optuna makes itself."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the schema, unless an earlier version did at a search."""
    op.execute("CREATE SCHEMA IF NOT EXISTS optuna")
