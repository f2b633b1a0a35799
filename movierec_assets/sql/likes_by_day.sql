-- Number of likes on each day, as days since 1970 in UTC.
SELECT (floor(extract(epoch FROM rated_at) / 86400))::integer AS day, count(*) AS likes
FROM movierec.current_ratings
WHERE rating >= %(threshold)s::real
GROUP BY 1
ORDER BY 1;
