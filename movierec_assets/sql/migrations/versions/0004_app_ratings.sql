-- A rating of the app is withdrawn by a row without a rating: it hides earlier ratings of the movie, the file's as well.

-- Asked first, because altering a table locks it even where there is nothing to do.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = 'movierec' AND table_name = 'app_ratings' AND column_name = 'rating' AND is_nullable = 'NO'
    ) THEN
        ALTER TABLE movierec.app_ratings ALTER COLUMN rating DROP NOT NULL;
    END IF;
END
$$;

-- For the highest rating_id of a user, which is looked up at each request.
CREATE INDEX IF NOT EXISTS app_ratings_user_rating_id ON movierec.app_ratings (user_id, rating_id);

-- The latest rating of each user and movie, in the file or in the app, unless it was withdrawn.
-- Grouped, the ratings of the app are known to be few for each pair: as NOT EXISTS, the planner may choose to hash the 20
-- million of the file instead.
CREATE OR REPLACE VIEW movierec.current_ratings AS
SELECT r.user_id, r.movie_id, r.rating, r.rated_at
FROM movierec.ratings r
LEFT JOIN (
    SELECT user_id, movie_id, max(rated_at) AS rated_at FROM movierec.valid_app_ratings GROUP BY user_id, movie_id
) posted ON posted.user_id = r.user_id AND posted.movie_id = r.movie_id
WHERE posted.rated_at IS NULL OR posted.rated_at < r.rated_at
UNION ALL
SELECT a.user_id, a.movie_id, a.rating, a.rated_at
FROM (
    SELECT DISTINCT ON (user_id, movie_id) user_id, movie_id, rating, rated_at
    FROM movierec.valid_app_ratings
    ORDER BY user_id, movie_id, rated_at DESC, rating_id DESC
) a
WHERE a.rating IS NOT NULL AND NOT EXISTS (
    SELECT FROM movierec.ratings r
    WHERE r.user_id = a.user_id AND r.movie_id = a.movie_id AND r.rated_at > a.rated_at
);

-- Number of ratings of each user: those of the file, and movies that are rated in the app only, without withdrawn ones.
-- Nothing but the totals is read, and the primary key of `ratings` for each movie that was rated in the app: OFFSET 0
-- keeps the planner from joining all ratings.
CREATE OR REPLACE VIEW movierec.rating_counts AS
SELECT user_id, sum(ratings)::integer AS ratings
FROM (
    SELECT user_id, ratings
    FROM movierec.user_totals
    UNION ALL
    SELECT a.user_id, CASE
        WHEN a.rating IS NOT NULL AND f.rated_at IS NULL THEN 1
        WHEN a.rating IS NULL AND f.rated_at <= a.rated_at THEN -1
        ELSE 0
    END
    FROM (
        SELECT DISTINCT ON (user_id, movie_id) user_id, movie_id, rating, rated_at
        FROM movierec.valid_app_ratings
        ORDER BY user_id, movie_id, rated_at DESC, rating_id DESC
    ) a
    LEFT JOIN LATERAL (
        SELECT r.rated_at FROM movierec.ratings r WHERE r.user_id = a.user_id AND r.movie_id = a.movie_id OFFSET 0
    ) f ON true
) counted
GROUP BY user_id
HAVING sum(ratings) > 0;

-- Everybody with a rating, in the file or in the app.
CREATE OR REPLACE VIEW movierec.rating_users AS
SELECT user_id FROM movierec.rating_counts;

-- Users with more than five ratings. In order, because a concurrent refresh sorts whole rows, slowly, unless they are in
-- order already.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_matviews
        WHERE schemaname = 'movierec' AND matviewname = 'eligible_users' AND definition LIKE '%rating_counts%'
    ) THEN
        DROP MATERIALIZED VIEW movierec.eligible_users;
        CREATE MATERIALIZED VIEW movierec.eligible_users AS
        SELECT user_id, ratings FROM movierec.rating_counts WHERE ratings > 5 ORDER BY user_id;
        CREATE UNIQUE INDEX eligible_users_user ON movierec.eligible_users (user_id);
    END IF;
END
$$;

-- Answers to requests that name an Idempotency-Key, kept for a day.
CREATE TABLE IF NOT EXISTS movierec.idempotency_keys (
    caller   text        NOT NULL, -- who sent it: different callers may choose the same key
    key      text        NOT NULL,
    request  bytea       NOT NULL, -- SHA-256
    user_id  integer,              -- whom it was about
    answer   jsonb,
    made_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX IF NOT EXISTS idempotency_keys_made_at ON movierec.idempotency_keys (made_at);
CREATE INDEX IF NOT EXISTS idempotency_keys_user ON movierec.idempotency_keys (user_id);

-- Deleting a user of the app deletes all rows about the user, in this transaction: a rating or a list that is being
-- written holds the user's row until it is committed, and is deleted then.
CREATE OR REPLACE FUNCTION movierec.erase_app_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    WITH erased AS (
        DELETE FROM movierec.app_ratings WHERE user_id = OLD.user_id RETURNING rating_id
    )
    DELETE FROM movierec.rejected_ratings r USING erased e WHERE r.file = 'app_ratings' AND r.line = e.rating_id;
    DELETE FROM movierec.user_recommendations WHERE user_id = OLD.user_id;
    DELETE FROM movierec.idempotency_keys WHERE user_id = OLD.user_id;
    -- Made by later migrations.
    FOREACH name IN ARRAY ARRAY['served', 'events', 'api_keys'] LOOP
        IF to_regclass('movierec.' || name) IS NOT NULL THEN
            EXECUTE format('DELETE FROM movierec.%I WHERE user_id = $1', name) USING OLD.user_id;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
