-- Everything the platform keeps in the ratings database. Safe to run again.
--
-- A table that is replaced as a whole is partitioned with one partition: a load fills a new table, indexes it, and
-- swaps it in within the same transaction. Readers see the old rows or the new ones; views on the table survive.

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

-- How many ratings each user has in the file; written with `ratings`, too. A database of an earlier version is counted
-- once, after a load that may still be at work there.
DO $$
BEGIN
    IF to_regclass('movierec.user_totals') IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('movierec.ratings'));
        CREATE TABLE movierec.user_totals (
            user_id integer NOT NULL PRIMARY KEY,
            ratings integer NOT NULL
        );
        LOCK TABLE movierec.ratings IN ACCESS SHARE MODE;
        INSERT INTO movierec.user_totals SELECT user_id, count(*) FROM movierec.ratings GROUP BY user_id;
    END IF;
END
$$;

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

-- Datasets that were loaded here, told apart by what is in them: ids and hashed titles of the movies, and a sample of the
-- hashed pairs of user and movie. See datasets/identity.py.
CREATE TABLE IF NOT EXISTS movierec.datasets (
    dataset_id integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    movie_ids  bigint[]    NOT NULL,
    titles     bigint[]    NOT NULL,
    pairs      bigint[]    NOT NULL,
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
    IF NOT EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = 'movierec' AND table_name = 'loads' AND column_name = 'dataset_id'
    ) THEN
        ALTER TABLE movierec.loads ADD COLUMN dataset_id integer REFERENCES movierec.datasets;
    END IF;
    IF EXISTS (
        SELECT FROM pg_matviews
        WHERE schemaname = 'movierec' AND matviewname = 'eligible_users' AND definition NOT LIKE '%user_totals%'
    ) THEN
        DROP MATERIALIZED VIEW movierec.eligible_users;
    END IF;
END
$$;

-- The dataset in the tables; no row before anything was loaded.
CREATE OR REPLACE VIEW movierec.loaded_dataset AS
SELECT d.dataset_id, d.name
FROM movierec.loads l
JOIN movierec.datasets d USING (dataset_id)
WHERE l.table_name = 'ratings';

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

-- Everybody with a rating, in the file or in the app.
CREATE OR REPLACE VIEW movierec.rating_users AS
SELECT user_id FROM movierec.user_totals
UNION
SELECT user_id FROM movierec.app_ratings;

-- Users with more than five ratings: those of the file, and movies rated in the app only. Nothing but the totals is
-- read, and the primary key of `ratings` for each rating of the app. In order, because a concurrent refresh sorts whole
-- rows, slowly, unless they are in order already.
CREATE MATERIALIZED VIEW IF NOT EXISTS movierec.eligible_users AS
SELECT user_id, sum(ratings)::integer AS ratings
FROM (
    SELECT user_id, ratings
    FROM movierec.user_totals
    UNION ALL
    SELECT a.user_id, count(DISTINCT a.movie_id)
    FROM movierec.app_ratings a
    WHERE NOT EXISTS (
        SELECT FROM movierec.ratings r WHERE r.user_id = a.user_id AND r.movie_id = a.movie_id
    )
    GROUP BY a.user_id
) counted
GROUP BY user_id
HAVING sum(ratings) > 5
ORDER BY user_id;
CREATE UNIQUE INDEX IF NOT EXISTS eligible_users_user ON movierec.eligible_users (user_id);

CREATE TABLE IF NOT EXISTS movierec.user_recommendations (
    user_id       integer  NOT NULL,
    rank          smallint NOT NULL,
    movie_id      integer  NOT NULL,
    score         real     NOT NULL,
    model_version integer  NOT NULL,
    PRIMARY KEY (user_id, rank)
) PARTITION BY RANGE (user_id);

CREATE TABLE IF NOT EXISTS movierec.similar_movies (
    movie_id         integer  NOT NULL,
    rank             smallint NOT NULL,
    similar_movie_id integer  NOT NULL,
    score            real     NOT NULL,
    model_version    integer  NOT NULL,
    PRIMARY KEY (movie_id, rank)
) PARTITION BY RANGE (movie_id);

CREATE TABLE IF NOT EXISTS movierec.popular_movies (
    rank          integer NOT NULL PRIMARY KEY,
    movie_id      integer NOT NULL,
    score         real    NOT NULL,
    model_version integer NOT NULL
) PARTITION BY RANGE (rank);

-- Every decision about the champion, in the order they took effect. A promotion is written as pending before the alias
-- moves in MLflow and as done afterwards, so that a crash between the two is seen and settled by whoever comes next.
CREATE TABLE IF NOT EXISTS movierec.promotion_decisions (
    decision_id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decided_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    model_version     integer     NOT NULL,
    previous_champion integer,
    outcome           text        NOT NULL CHECK (
        outcome IN (
            'first', 'improvement', 'refresh', 'kept', 'rejected', 'returned', 'manual', 'rollback', 'lost'
        )
    ),
    promoted          boolean     NOT NULL,
    reason            text        NOT NULL,
    numbers           jsonb       NOT NULL,
    dagster_run_id    text,
    decided_by        text        NOT NULL,
    state             text        NOT NULL CHECK (state IN ('pending', 'done', 'abandoned'))
);
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint
        WHERE conname = 'promotion_decisions_outcome_check' AND pg_get_constraintdef(oid) NOT LIKE '%lost%'
    ) THEN
        ALTER TABLE movierec.promotion_decisions DROP CONSTRAINT promotion_decisions_outcome_check;
        ALTER TABLE movierec.promotion_decisions ADD CONSTRAINT promotion_decisions_outcome_check CHECK (
            outcome IN (
                'first', 'improvement', 'refresh', 'kept', 'rejected', 'returned', 'manual', 'rollback', 'lost'
            )
        );
    END IF;
END
$$;
CREATE UNIQUE INDEX IF NOT EXISTS promotion_decisions_one_pending
    ON movierec.promotion_decisions (state) WHERE state = 'pending';

-- Winners of searches; training takes the latest.
CREATE TABLE IF NOT EXISTS movierec.searches (
    search_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    recipe         jsonb       NOT NULL,
    details        jsonb       NOT NULL,
    dagster_run_id text        NOT NULL
);
