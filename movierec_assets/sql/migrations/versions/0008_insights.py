"""Documents of figures that runs make, for people to look at."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE movierec.insights (
            name     text        NOT NULL,
            version  text        NOT NULL DEFAULT '', -- of the model; '' where the document is not about a version
            made_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
            document jsonb       NOT NULL,
            PRIMARY KEY (name, version)
        );
        """
    )
