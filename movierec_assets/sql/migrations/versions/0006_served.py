"""Lists that were shown, what people did with them, the figures of each day, and movies whose likes increase."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables; `tables.day_partitions` adds partitions to the first two, one for each day in UTC."""
    op.execute(
        """
        -- A list as it was answered; `at` is the time within recommendation_id, so that the id leads to the partition.
        CREATE TABLE movierec.served (
            recommendation_id uuid        NOT NULL,
            at                timestamptz NOT NULL,
            user_id           integer,             -- NULL for people without an id
            dataset_id        integer,             -- whose ids movie_ids are; NULL before anything was loaded
            model_version     integer,             -- NULL where no version made the list
            source            text        NOT NULL,
            scenario          text,
            movie_ids         integer[]   NOT NULL, -- best first
            PRIMARY KEY (recommendation_id, at)
        ) PARTITION BY RANGE (at);
        CREATE INDEX served_user ON movierec.served (user_id);

        -- What people did with one movie of a list. A client may report the same twice; the figures count it once.
        CREATE TABLE movierec.events (
            recommendation_id uuid        NOT NULL,
            at                timestamptz NOT NULL,
            user_id           integer,              -- of the list
            movie_id          integer     NOT NULL,
            position          smallint    NOT NULL, -- from 1
            kind              text        NOT NULL CHECK (kind IN ('impression', 'click', 'dismiss'))
        ) PARTITION BY RANGE (at);
        CREATE INDEX events_recommendation ON movierec.events (recommendation_id);
        CREATE INDEX events_user ON movierec.events (user_id);

        -- Figures of `served` and `events`, without users: they stay when partitions are dropped.
        CREATE TABLE movierec.served_feedback (
            day           date             NOT NULL, -- of the list, in UTC
            source        text             NOT NULL,
            model_version integer          NOT NULL, -- 0 where no version made the list
            position      smallint         NOT NULL, -- from 1
            shown         bigint           NOT NULL,
            users         bigint           NOT NULL, -- every list for somebody without an id counts as one
            impressions   bigint           NOT NULL,
            clicked       bigint           NOT NULL,
            dismissed     bigint           NOT NULL,
            liked         bigint           NOT NULL,
            click_low     double precision, -- ends of 95 % intervals of shares of `shown`; NULL with too few users
            click_high    double precision,
            dismiss_low   double precision,
            dismiss_high  double precision,
            like_low      double precision,
            like_high     double precision,
            made_at       timestamptz      NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (day, source, model_version, position)
        );

        CREATE TABLE movierec.trending_movies (
            rank     integer     NOT NULL PRIMARY KEY,
            movie_id integer     NOT NULL,
            score    real        NOT NULL,
            likes    integer     NOT NULL,
            expected real        NOT NULL,
            since    timestamptz NOT NULL,
            until    timestamptz NOT NULL
        ) PARTITION BY RANGE (rank);
        """
    )
