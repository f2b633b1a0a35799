-- Counts that will be added to the totals, seen by this transaction alone.
CREATE TEMPORARY TABLE more_rating_totals (
    movie_id integer NOT NULL,
    rating   real    NOT NULL,
    ratings  bigint  NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE more_user_totals (
    user_id integer NOT NULL,
    ratings integer  NOT NULL
) ON COMMIT DROP;
