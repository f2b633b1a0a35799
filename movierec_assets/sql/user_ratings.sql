-- Current ratings of a user, the latest first, with titles.
SELECT c.movie_id, m.title, m.year, m.genres, c.rating, c.rated_at
FROM movierec.current_ratings c
LEFT JOIN movierec.movies m USING (movie_id)
WHERE c.user_id = %(user)s
ORDER BY c.rated_at DESC, c.movie_id
LIMIT %(limit)s OFFSET %(offset)s;
