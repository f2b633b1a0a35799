-- The tables and views of ratings as they were before totals of users.

CREATE SCHEMA IF NOT EXISTS movierec;

CREATE TABLE IF NOT EXISTS movierec.movies (
    movie_id integer NOT NULL PRIMARY KEY,
    title    text    NOT NULL,
    year     smallint,
    genres   text[]  NOT NULL,
    imdb_id  text,
    tmdb_id  integer
) PARTITION BY RANGE (movie_id);

CREATE TABLE IF NOT EXISTS movierec.ratings (
    user_id  integer     NOT NULL,
    movie_id integer     NOT NULL,
    rating   real        NOT NULL,
    line     integer     NOT NULL DEFAULT 0, -- of ratings.csv; here, where alignment leaves room for it
    rated_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, movie_id)
) PARTITION BY RANGE (user_id);

-- How often each movie got which stars in the file; written with `ratings`, so that nobody counts 20 million rows.
CREATE TABLE IF NOT EXISTS movierec.rating_totals (
    movie_id integer NOT NULL,
    rating   real    NOT NULL,
    ratings  bigint  NOT NULL,
    PRIMARY KEY (movie_id, rating)
);

-- Ratings posted by users, append-only; rating_id is the watermark of incremental refreshes.
CREATE TABLE IF NOT EXISTS movierec.app_ratings (
    rating_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id   integer     NOT NULL CHECK (user_id > 0),
    movie_id  integer     NOT NULL,
    rating    real        NOT NULL CHECK (rating BETWEEN 0.5 AND 5.0 AND rating * 2 = floor(rating * 2)),
    rated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS app_ratings_user_movie ON movierec.app_ratings (user_id, movie_id);

-- Every row of a file that did not load, until that file is loaded again.
CREATE TABLE IF NOT EXISTS movierec.rejected_ratings (
    file        text        NOT NULL,
    line        bigint      NOT NULL,
    reason      text        NOT NULL,
    raw_text    text        NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (file, line)
);

-- What each replaced table was loaded from; decides whether a file needs loading again.
CREATE TABLE IF NOT EXISTS movierec.loads (
    table_name text        NOT NULL PRIMARY KEY,
    version    text        NOT NULL,
    source     text        NOT NULL,
    details    jsonb       NOT NULL,
    loaded_at  timestamptz NOT NULL DEFAULT now()
);

-- Databases of earlier versions. Asked first, because altering a table locks it even where there is nothing to do.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = 'movierec' AND table_name = 'ratings' AND column_name = 'line'
    ) THEN
        ALTER TABLE movierec.ratings ADD COLUMN line integer NOT NULL DEFAULT 0;
    END IF;
    IF EXISTS (
        SELECT FROM pg_matviews
        WHERE schemaname = 'movierec' AND matviewname = 'eligible_users' AND definition LIKE '%current_ratings%'
    ) THEN
        DROP MATERIALIZED VIEW movierec.eligible_users;
    END IF;
END
$$;

-- A pair rated both in the file and in the app, or twice in the app, counts once: the latest rating wins.
-- Grouped, the ratings of the app are known to be few for each pair: as NOT EXISTS, the planner may choose to hash the 20
-- million of the file instead.
CREATE OR REPLACE VIEW movierec.current_ratings AS
SELECT r.user_id, r.movie_id, r.rating, r.rated_at
FROM movierec.ratings r
LEFT JOIN (
    SELECT user_id, movie_id, max(rated_at) AS rated_at FROM movierec.app_ratings GROUP BY user_id, movie_id
) posted ON posted.user_id = r.user_id AND posted.movie_id = r.movie_id
WHERE posted.rated_at IS NULL OR posted.rated_at < r.rated_at
UNION ALL
SELECT a.user_id, a.movie_id, a.rating, a.rated_at
FROM (
    SELECT DISTINCT ON (user_id, movie_id) user_id, movie_id, rating, rated_at
    FROM movierec.app_ratings
    ORDER BY user_id, movie_id, rated_at DESC, rating_id DESC
) a
WHERE NOT EXISTS (
    SELECT FROM movierec.ratings r
    WHERE r.user_id = a.user_id AND r.movie_id = a.movie_id AND r.rated_at > a.rated_at
);

-- Everybody with a rating. Steps from user to user in the primary key instead of reading every rating.
CREATE OR REPLACE VIEW movierec.rating_users AS
WITH RECURSIVE step AS (
    (SELECT user_id FROM movierec.ratings ORDER BY user_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.user_id FROM movierec.ratings r WHERE r.user_id > step.user_id ORDER BY r.user_id LIMIT 1)
    FROM step
    WHERE step.user_id IS NOT NULL
)
SELECT user_id FROM step WHERE user_id IS NOT NULL
UNION
SELECT user_id FROM movierec.app_ratings;

-- Users with more than five ratings: those of the file, and movies rated in the app only. Counts need the primary key
-- alone, and no comparison of every rating with those of the app.
CREATE MATERIALIZED VIEW IF NOT EXISTS movierec.eligible_users AS
SELECT user_id, sum(ratings)::integer AS ratings
FROM (
    SELECT user_id, count(*) AS ratings
    FROM movierec.ratings
    GROUP BY user_id
    UNION ALL
    SELECT a.user_id, count(DISTINCT a.movie_id)
    FROM movierec.app_ratings a
    WHERE NOT EXISTS (
        SELECT FROM movierec.ratings r WHERE r.user_id = a.user_id AND r.movie_id = a.movie_id
    )
    GROUP BY a.user_id
) counted
GROUP BY user_id
HAVING sum(ratings) > 5;
CREATE UNIQUE INDEX IF NOT EXISTS eligible_users_user ON movierec.eligible_users (user_id);

