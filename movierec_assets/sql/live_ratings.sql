-- Prepared once for each connection. For each user who is asked for: the load and dataset of the ratings, the user's
-- highest rating_id, and, unless nothing is newer than the state that the caller has, all current ratings: two byte
-- strings with movie and stars, and with times, as in tables/histories.py. A user who posted nothing is read from the
-- file directly. Where the caller's watermark is NULL, no ratings are read. Conditions of outer columns alone are checked before a branch reads anything.
PREPARE live_ratings (integer[], text[], bigint[]) AS
SELECT l.version, l.dataset_id, posted.watermark,
       coalesce(filed.movies, joined.movies), coalesce(filed.times, joined.times)
FROM unnest($1, $2, $3) WITH ORDINALITY asked (user_id, version, watermark, place)
LEFT JOIN movierec.loads l ON l.table_name = 'ratings'
CROSS JOIN LATERAL (
    SELECT coalesce(max(a.rating_id), 0) AS watermark FROM movierec.app_ratings a WHERE a.user_id = asked.user_id
) posted
CROSS JOIN LATERAL (
    SELECT string_agg(int8send((r.movie_id::bigint << 4) + (r.rating * 2::real)::integer), '') AS movies,
           string_agg(timestamptz_send(r.rated_at), '') AS times
    FROM movierec.ratings r
    WHERE r.user_id = asked.user_id AND posted.watermark = 0
    AND asked.watermark IS NOT NULL AND l.version IS DISTINCT FROM asked.version
) filed
CROSS JOIN LATERAL (
    SELECT string_agg(int8send((r.movie_id::bigint << 4) + (r.rating * 2::real)::integer), '') AS movies,
           string_agg(timestamptz_send(r.rated_at), '') AS times
    FROM movierec.current_ratings r
    WHERE r.user_id = asked.user_id AND posted.watermark > 0
    AND asked.watermark IS NOT NULL AND (l.version IS DISTINCT FROM asked.version OR posted.watermark > asked.watermark)
) joined
ORDER BY asked.place
