"""Ratings of the app can be withdrawn."""

from alembic import op  # noqa: F401

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create what is missing."""
