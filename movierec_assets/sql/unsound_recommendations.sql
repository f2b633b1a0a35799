-- Rows of user_recommendations that must not exist, counted by problem.
SELECT 'movie rated by the user' AS problem, (
    SELECT count(*)
    FROM movierec.user_recommendations u
    WHERE EXISTS (SELECT FROM movierec.ratings r WHERE r.user_id = u.user_id AND r.movie_id = u.movie_id)
) + (
    SELECT count(*)
    FROM movierec.user_recommendations u
    JOIN (SELECT DISTINCT user_id, movie_id FROM movierec.valid_app_ratings) a USING (user_id, movie_id)
    WHERE NOT EXISTS (SELECT FROM movierec.ratings r WHERE r.user_id = u.user_id AND r.movie_id = u.movie_id)
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
