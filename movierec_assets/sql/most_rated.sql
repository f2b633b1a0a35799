SELECT m.title, count(*) AS ratings, round(avg(r.rating)::numeric, 2)::float AS mean_rating
FROM movierec.ratings r
JOIN movierec.movies m USING (movie_id)
GROUP BY m.movie_id, m.title
ORDER BY ratings DESC, m.movie_id
LIMIT 10;
