-- Rows of user_recommendations that must not exist, counted by problem. A rating that was posted after the lists were made,
-- with a rating_id above %(watermark)s, is no problem.
WITH posted AS (
    SELECT DISTINCT ON (user_id, movie_id) user_id, movie_id, rating_id, rating, rated_at
    FROM movierec.valid_app_ratings
    ORDER BY user_id, movie_id, rated_at DESC, rating_id DESC
)
SELECT 'movie rated by the user' AS problem, (
    SELECT count(*)
    FROM movierec.user_recommendations u
    WHERE EXISTS (SELECT FROM movierec.ratings r WHERE r.user_id = u.user_id AND r.movie_id = u.movie_id)
) - ( -- the file's rating was withdrawn, or the movie was rated again
    SELECT count(*)
    FROM movierec.user_recommendations u
    JOIN posted p USING (user_id, movie_id)
    CROSS JOIN LATERAL (
        SELECT FROM movierec.ratings r
        WHERE r.user_id = p.user_id AND r.movie_id = p.movie_id AND r.rated_at <= p.rated_at OFFSET 0
    ) hidden
    WHERE p.rating IS NULL OR p.rating_id > %(watermark)s
) + (
    SELECT count(*)
    FROM movierec.user_recommendations u
    JOIN posted p USING (user_id, movie_id)
    WHERE p.rating IS NOT NULL AND p.rating_id <= %(watermark)s
    AND NOT EXISTS (SELECT FROM movierec.ratings r WHERE r.user_id = u.user_id AND r.movie_id = u.movie_id)
) AS rows
UNION ALL
SELECT 'movie outside the catalogue', count(*)
FROM movierec.user_recommendations u
WHERE NOT EXISTS (SELECT FROM movierec.movies m WHERE m.movie_id = u.movie_id)
UNION ALL
SELECT 'movie twice in a list', coalesce(sum(again), 0)
FROM (
    SELECT count(*) - count(DISTINCT movie_id) AS again FROM movierec.user_recommendations GROUP BY user_id
) lists
UNION ALL
SELECT 'score not a number', count(*)
FROM movierec.user_recommendations
WHERE score IN ('NaN', 'Infinity', '-Infinity');
