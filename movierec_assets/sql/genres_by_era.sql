-- Rated movies of each genre and decade: their number, their ratings in the file, and the mean of these ratings.
SELECT coalesce(genre, '') AS genre, m.year / 10 * 10 AS decade, count(*) AS movies,
       sum(t.ratings)::bigint AS ratings, sum(t.stars) / sum(t.ratings) AS mean
FROM (
    SELECT movie_id, sum(ratings) AS ratings, sum(rating * ratings) AS stars
    FROM movierec.rating_totals
    GROUP BY movie_id
) t
JOIN movierec.movies m USING (movie_id)
LEFT JOIN LATERAL unnest(m.genres) AS genre ON true
GROUP BY 1, 2
ORDER BY 1, 2 NULLS FIRST
