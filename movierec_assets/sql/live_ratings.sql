-- Prepared once for each connection. For each user who is asked for: the load and dataset of the ratings, the user's
-- highest rating_id, and, unless nothing is newer than the state that the caller has, the user's row of
-- rating_histories, and the user's ratings of the app in two byte strings, the oldest first: movie and half stars, 0 for
-- a withdrawal, and times. The caller merges them by the rule of the view current_ratings, which takes Postgres five times
-- as long. Without histories, these are made of the ratings. Where the caller's watermark is NULL, no ratings are read.
-- Conditions of outer columns alone are checked before a branch reads anything.
PREPARE live_ratings (integer[], text[], bigint[]) AS
SELECT l.version, l.dataset_id, posted.watermark,
       coalesce(h.movie_ids, made.movie_ids), coalesce(h.times_and_stars, made.times_and_stars),
       app.movies, app.times
FROM unnest($1, $2, $3) WITH ORDINALITY asked (user_id, version, watermark, place)
LEFT JOIN movierec.loads l ON l.table_name = 'ratings'
CROSS JOIN LATERAL (
    SELECT coalesce(max(a.rating_id), 0) AS watermark FROM movierec.app_ratings a WHERE a.user_id = asked.user_id
) posted
CROSS JOIN LATERAL (
    SELECT asked.watermark IS NOT NULL
           AND (l.version IS DISTINCT FROM asked.version OR posted.watermark > asked.watermark) AS wanted
) now
LEFT JOIN movierec.rating_histories h
ON h.user_id = asked.user_id AND now.wanted AND (SELECT movierec.has_histories())
CROSS JOIN LATERAL (
    SELECT string_agg(int4send(r.movie_id), '') AS movie_ids,
           string_agg(
               int8send((floor(date_part('epoch', r.rated_at))::bigint << 4) + (r.rating * 2::real)::integer), ''
           ) AS times_and_stars
    FROM movierec.ratings r
    WHERE r.user_id = asked.user_id AND now.wanted AND NOT (SELECT movierec.has_histories())
) made
CROSS JOIN LATERAL (
    SELECT string_agg(
               int8send((a.movie_id::bigint << 4) + coalesce((a.rating * 2::real)::integer, 0)), ''
               ORDER BY a.rated_at, a.rating_id
           ) AS movies,
           string_agg(timestamptz_send(a.rated_at), '' ORDER BY a.rated_at, a.rating_id) AS times
    FROM movierec.valid_app_ratings a
    WHERE a.user_id = asked.user_id AND posted.watermark > 0 AND now.wanted
) app
ORDER BY asked.place
