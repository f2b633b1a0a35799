"""Figures of the recipe for each month."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table, unless a database without a number has it."""
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS movierec.backtests (
            dataset_id         integer          NOT NULL, -- 0 where the dataset is not known
            positive_threshold real             NOT NULL,
            month              date             NOT NULL, -- its first day
            moment             text             NOT NULL,
            ranker             text             NOT NULL,
            users              integer          NOT NULL,
            ndcg               double precision NOT NULL,
            deviation          double precision NOT NULL, -- over the users
            low                double precision,          -- NULL with too few users for an interval
            high               double precision,
            recipe             jsonb            NOT NULL,
            positives          text             NOT NULL, -- fingerprint of positive_ratings
            dagster_run_id     text             NOT NULL,
            made_at            timestamptz      NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (dataset_id, positive_threshold, month, moment, ranker)
        )
        """
    )
