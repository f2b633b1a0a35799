"""Lists that were shown, and what people did with them."""

from alembic import op  # noqa: F401

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create what is missing."""
