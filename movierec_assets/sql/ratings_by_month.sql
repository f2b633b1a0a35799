-- Number of ratings of the file in each month, in UTC.
SELECT to_char(day, 'YYYY-MM'), sum(ratings)::bigint
FROM (
    SELECT (rated_at AT TIME ZONE 'UTC')::date AS day, count(*) AS ratings
    FROM movierec.ratings
    GROUP BY 1
) counted
GROUP BY 1
ORDER BY 1
