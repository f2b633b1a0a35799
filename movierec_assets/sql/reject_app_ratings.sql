-- Reject ratings of the app whose movie is not in the catalogue, unless they were withdrawn. Rejects whose movie is back,
-- or whose dataset is no longer loaded, are deleted.
WITH outside AS (
    SELECT a.rating_id, a.user_id, a.movie_id, a.rating, a.rated_at
    FROM movierec.app_ratings a
    WHERE a.dataset_id IS NOT DISTINCT FROM (SELECT dataset_id FROM movierec.loaded_dataset)
    AND NOT EXISTS (SELECT FROM movierec.movies m WHERE m.movie_id = a.movie_id)
    AND NOT EXISTS (
        SELECT FROM movierec.app_ratings w
        WHERE w.user_id = a.user_id AND w.movie_id = a.movie_id AND w.rating IS NULL AND w.rating_id >= a.rating_id
    )
),
returned AS (
    DELETE FROM movierec.rejected_ratings r
    WHERE r.file = %(file)s AND NOT EXISTS (SELECT FROM outside o WHERE o.rating_id = r.line)
)
INSERT INTO movierec.rejected_ratings (file, line, reason, raw_text)
SELECT %(file)s, rating_id, format(%(reason)s, movie_id),
       concat_ws(',', user_id, movie_id, rating, extract(epoch FROM date_trunc('second', rated_at))::bigint)
FROM outside
ON CONFLICT (file, line) DO NOTHING;
