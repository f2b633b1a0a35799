"""Ratings of the app can be withdrawn."""

from alembic import op

from movierec_assets.sql import read_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Replace the views, and make `eligible_users` anew."""
    op.get_bind().exec_driver_sql(
        read_sql("migrations/versions/0004_app_ratings"), execution_options={"no_parameters": True}
    )
