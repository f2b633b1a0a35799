-- Users with a rating, and how many of them have %(per_user)s recommendations.
SELECT count(*), count(*) FILTER (WHERE listed = %(per_user)s)
FROM movierec.rating_users u
LEFT JOIN (
    SELECT user_id, count(*) AS listed FROM movierec.user_recommendations GROUP BY user_id
) l USING (user_id);
