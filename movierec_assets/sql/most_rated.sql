SELECT m.title, sum(t.ratings)::bigint AS ratings, round((sum(t.rating * t.ratings) / sum(t.ratings))::numeric, 2)::float
FROM movierec.rating_totals t
JOIN movierec.movies m USING (movie_id)
GROUP BY m.movie_id, m.title
ORDER BY ratings DESC, m.movie_id
LIMIT 10;
