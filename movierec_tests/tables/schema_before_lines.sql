-- The tables and views of ratings as they were before a rating had its line.

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
    rated_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, movie_id)
) PARTITION BY RANGE (user_id);

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

-- A pair rated both in the file and in the app, or twice in the app, counts once: the latest rating wins.
CREATE OR REPLACE VIEW movierec.current_ratings AS
WITH latest_app_rating AS (
    SELECT DISTINCT ON (user_id, movie_id) user_id, movie_id, rating, rated_at
    FROM movierec.app_ratings
    ORDER BY user_id, movie_id, rated_at DESC, rating_id DESC
)
SELECT r.user_id, r.movie_id, r.rating, r.rated_at
FROM movierec.ratings r
WHERE NOT EXISTS (
    SELECT FROM latest_app_rating a
    WHERE a.user_id = r.user_id AND a.movie_id = r.movie_id AND a.rated_at >= r.rated_at
)
UNION ALL
SELECT a.user_id, a.movie_id, a.rating, a.rated_at
FROM latest_app_rating a
WHERE NOT EXISTS (
    SELECT FROM movierec.ratings r
    WHERE r.user_id = a.user_id AND r.movie_id = a.movie_id AND r.rated_at > a.rated_at
);

-- Users with more than five ratings.
CREATE MATERIALIZED VIEW IF NOT EXISTS movierec.eligible_users AS
SELECT user_id, count(*)::integer AS ratings
FROM movierec.current_ratings
GROUP BY user_id
HAVING count(*) > 5;
CREATE UNIQUE INDEX IF NOT EXISTS eligible_users_user ON movierec.eligible_users (user_id);

