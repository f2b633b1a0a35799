"""The ratings of each user in one row, for whoever reads those of everybody."""

from alembic import op

from movierec_assets.sql import read_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table, and the triggers that keep it equal to `ratings`; the next whole load fills it."""
    # As it stands: a colon or a percent sign in it is no parameter.
    op.get_bind().exec_driver_sql(
        read_sql("migrations/versions/0009_rating_histories"), execution_options={"no_parameters": True}
    )
