"""Keys of the API."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table, unless a database without a number has it."""
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS movierec.api_keys (
            key_id     text        PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{12}$'),
            digest     bytea       NOT NULL CHECK (octet_length(digest) = 32), -- SHA-256 of the secret, stored nowhere
            role       text        NOT NULL CHECK (role IN ('reader', 'operator')),
            label      text        NOT NULL,
            user_id    integer,              -- the only user it is for; NULL for all
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            expires_at timestamptz,          -- NULL for never
            revoked_at timestamptz,
            CHECK (user_id IS NULL OR role = 'reader')
        )
        """
    )
