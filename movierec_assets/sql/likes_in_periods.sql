-- Likes of each movie of the catalogue now and before, for movies that were liked in either period.
SELECT
    movie_id,
    count(*) FILTER (WHERE rated_at >= to_timestamp(86400 * %(since)s::bigint)),
    count(*) FILTER (WHERE rated_at < to_timestamp(86400 * %(since)s::bigint))
FROM movierec.current_ratings
JOIN movierec.movies USING (movie_id)
WHERE rating >= %(threshold)s::real
AND rated_at >= to_timestamp(86400 * %(before)s::bigint) AND rated_at < to_timestamp(86400 * %(until)s::bigint)
GROUP BY movie_id
ORDER BY movie_id;
