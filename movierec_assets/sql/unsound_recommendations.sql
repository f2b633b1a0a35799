-- Rows of user_recommendations that must not be there, by what is wrong with them.
SELECT 'movie rated by the user' AS problem, count(*) AS rows
FROM movierec.user_recommendations u
JOIN movierec.current_ratings r USING (user_id, movie_id)
UNION ALL
SELECT 'movie outside the catalogue', count(*)
FROM movierec.user_recommendations u
WHERE NOT EXISTS (SELECT FROM movierec.movies m WHERE m.movie_id = u.movie_id)
UNION ALL
SELECT 'movie twice in a list', count(*) - count(DISTINCT (user_id, movie_id))
FROM movierec.user_recommendations
UNION ALL
SELECT 'score not a number', count(*)
FROM movierec.user_recommendations
WHERE score IN ('NaN', 'Infinity', '-Infinity');
