-- A few users, spread evenly over those whom the model knows: their five best rated titles and five best recommendations.
WITH known AS (
    SELECT user_id, ntile(%(users)s) OVER (ORDER BY user_id) AS part
    FROM movierec.user_recommendations
    WHERE rank = 1 AND score > 0
),
chosen AS (
    SELECT min(user_id) AS user_id FROM known GROUP BY part
)
SELECT c.user_id, favourites.titles, recommended.titles
FROM chosen c
CROSS JOIN LATERAL (
    SELECT array_agg(best.title) AS titles
    FROM (
        SELECT m.title
        FROM movierec.current_ratings r
        JOIN movierec.movies m USING (movie_id)
        WHERE r.user_id = c.user_id
        ORDER BY r.rating DESC, r.rated_at DESC, m.movie_id
        LIMIT 5
    ) best
) favourites
CROSS JOIN LATERAL (
    SELECT array_agg(m.title ORDER BY u.rank) AS titles
    FROM movierec.user_recommendations u
    JOIN movierec.movies m USING (movie_id)
    WHERE u.user_id = c.user_id AND u.rank <= 5
) recommended
ORDER BY c.user_id;
