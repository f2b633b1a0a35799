-- What came of lists, by their source, version and position. A person is a user, or a list for somebody without an id.
-- One row for each group and each combination of counts of a person, with the number of such people. Each movie of a list
-- counts once, by events and likes within a week.
WITH lists AS (
    SELECT *, coalesce(user_id::text, recommendation_id::text) AS person
    FROM movierec.served
    WHERE at >= %(since)s AND at < %(until)s
), reported AS (
    SELECT recommendation_id, e.movie_id,
        bool_or(e.kind = 'impression') AS impression, bool_or(e.kind = 'click') AS click,
        bool_or(e.kind = 'dismiss') AS dismiss
    FROM movierec.events e
    JOIN lists l USING (recommendation_id)
    WHERE e.at >= %(since)s AND e.at < %(until)s + interval '7 days' AND e.at < l.at + interval '7 days'
    GROUP BY recommendation_id, e.movie_id
)
SELECT source, model_version, position, shown, impressions, clicked, dismissed, liked, count(*) AS people
FROM (
    SELECT
        l.source,
        CASE WHEN %(by_version)s THEN coalesce(l.model_version, 0) ELSE 0 END AS model_version,
        CASE WHEN %(by_position)s THEN m.position ELSE 0 END AS position,
        count(*) AS shown,
        count(*) FILTER (WHERE r.impression) AS impressions,
        count(*) FILTER (WHERE r.click) AS clicked,
        count(*) FILTER (WHERE r.dismiss) AS dismissed,
        count(*) FILTER (WHERE posted.liked OR loaded.liked) AS liked
    FROM lists l
    CROSS JOIN unnest(l.movie_ids) WITH ORDINALITY m (movie_id, position)
    LEFT JOIN reported r USING (recommendation_id, movie_id)
    -- LIMIT keeps the planner from joining all ratings.
    LEFT JOIN LATERAL (
        SELECT true AS liked
        FROM movierec.app_ratings a
        WHERE a.user_id = l.user_id AND a.movie_id = m.movie_id AND a.dataset_id IS NOT DISTINCT FROM l.dataset_id
        AND a.rating >= %(threshold)s::real AND a.rated_at > l.at AND a.rated_at < l.at + interval '7 days'
        LIMIT 1
    ) posted ON true
    LEFT JOIN LATERAL (
        SELECT true AS liked
        FROM movierec.ratings f
        WHERE f.user_id = l.user_id AND f.movie_id = m.movie_id
        AND l.dataset_id = (SELECT dataset_id FROM movierec.loaded_dataset)
        AND f.rating >= %(threshold)s::real AND f.rated_at > l.at AND f.rated_at < l.at + interval '7 days'
        LIMIT 1
    ) loaded ON true
    GROUP BY l.source, 2, 3, l.person
) of_people
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
