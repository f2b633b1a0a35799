-- Users with a rating, and how many of them have %(per_user)s recommendations. Users who posted after the lists were made,
-- with a rating_id above %(watermark)s, need none.
SELECT count(*) FILTER (
           WHERE listed IS NOT NULL OR NOT EXISTS (
               SELECT FROM movierec.app_ratings a WHERE a.user_id = u.user_id AND a.rating_id > %(watermark)s
           )
       ),
       count(*) FILTER (WHERE listed = %(per_user)s)
FROM movierec.rating_users u
LEFT JOIN (
    SELECT user_id, count(*) AS listed FROM movierec.user_recommendations GROUP BY user_id
) l USING (user_id);
