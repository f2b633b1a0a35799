"""Alerts, and what of them each channel has told."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables."""
    op.execute(
        """
        CREATE TABLE movierec.alerts (
            alert_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            cause    text        NOT NULL, -- has one alert at a time that is not over
            kind     text        NOT NULL,
            title    text        NOT NULL,
            reason   text        NOT NULL,
            remedy   text        NOT NULL,
            run_id   text,                 -- the latest failed run, where one failed
            step     text,
            since    timestamptz NOT NULL, -- first seen
            told_at  timestamptz,          -- NULL while it may pass by itself
            over_at  timestamptz
        );
        CREATE UNIQUE INDEX alerts_open ON movierec.alerts (cause) WHERE over_at IS NULL;

        -- One channel and one alert: what it told last, and what it still has to tell.
        CREATE TABLE movierec.alert_deliveries (
            alert_id    bigint      NOT NULL REFERENCES movierec.alerts ON DELETE CASCADE,
            channel     text        NOT NULL,
            told        text        CHECK (told IN ('open', 'over')),
            due         text        CHECK (due IN ('open', 'over')),
            due_since   timestamptz NOT NULL,
            next_try_at timestamptz NOT NULL,
            attempts    integer     NOT NULL DEFAULT 0, -- without success, since the last one
            tried_at    timestamptz,
            sent_at     timestamptz,
            error       text,
            PRIMARY KEY (alert_id, channel)
        );
        CREATE INDEX alert_deliveries_due ON movierec.alert_deliveries (channel, next_try_at) WHERE due IS NOT NULL;
        """
    )
