-- A pair of user and movie before something is posted: whether the movie is in the catalogue, the user's latest row in
-- the app with its stars (NULL: withdrawn), the stars in the file, the latest time of both, and whether the file's is
-- later than the app's. The first column says whether there is such a user.
SELECT CASE WHEN pair.user_id >= 1000000000
           THEN EXISTS (SELECT FROM movierec.app_users u WHERE u.user_id = pair.user_id)
           ELSE EXISTS (SELECT FROM movierec.user_totals t WHERE t.user_id = pair.user_id)
       END,
       m.movie_id IS NOT NULL, a.rating_id, a.rating, r.rating, greatest(a.rated_at, r.rated_at),
       coalesce(r.rated_at > a.rated_at, false), a.rated_at
FROM (SELECT %(user)s AS user_id, %(movie)s AS movie_id) pair
LEFT JOIN movierec.movies m USING (movie_id)
LEFT JOIN movierec.ratings r USING (user_id, movie_id)
LEFT JOIN LATERAL (
    SELECT v.rating_id, v.rating, v.rated_at
    FROM movierec.valid_app_ratings v
    WHERE v.user_id = pair.user_id AND v.movie_id = pair.movie_id
    ORDER BY v.rated_at DESC, v.rating_id DESC
    LIMIT 1
) a ON true;
