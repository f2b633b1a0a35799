-- Rows that were appended to the file of ratings, seen by this transaction alone until they are merged.
CREATE TEMPORARY TABLE tail (
    user_id  integer     NOT NULL,
    movie_id integer     NOT NULL,
    rating   real        NOT NULL,
    line     integer     NOT NULL,
    rated_at timestamptz NOT NULL
) ON COMMIT DROP;
