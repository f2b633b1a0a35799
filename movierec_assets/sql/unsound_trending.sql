-- Rows of trending_movies that must not exist, counted by problem.
SELECT 'movie outside the catalogue' AS problem, count(*) AS rows
FROM movierec.trending_movies t
WHERE NOT EXISTS (SELECT FROM movierec.movies m WHERE m.movie_id = t.movie_id)
UNION ALL
SELECT 'movie twice', count(*) - count(DISTINCT movie_id) FROM movierec.trending_movies
UNION ALL
SELECT 'not liked more than expected', count(*) FROM movierec.trending_movies WHERE likes <= expected
UNION ALL
SELECT 'score not a number', count(*)
FROM movierec.trending_movies
WHERE score IN ('NaN', 'Infinity', '-Infinity')
UNION ALL
SELECT 'out of order', count(*)
FROM (
    SELECT rank <> row_number() OVER (ORDER BY rank) OR score > lag(score) OVER (ORDER BY rank) AS wrong
    FROM movierec.trending_movies
) ranked
WHERE wrong;
