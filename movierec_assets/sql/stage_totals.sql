-- Counts to be added to the totals, seen by this transaction alone.
CREATE TEMPORARY TABLE more_stars (
    movie_id integer NOT NULL,
    rating   real    NOT NULL,
    ratings  bigint  NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE more_users (
    user_id integer NOT NULL,
    ratings bigint  NOT NULL
) ON COMMIT DROP;
