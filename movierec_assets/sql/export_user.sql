-- Everything that is stored about a user of the app, as one JSON object: rows as they are, without secrets. Titles are
-- those of the loaded dataset.
SELECT jsonb_build_object(
    'user_id', u.user_id,
    'created_at', u.created_at,
    'ratings', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'rating_id', a.rating_id, 'movie_id', a.movie_id, 'title', m.title, 'dataset', d.name, 'stars', a.rating,
            'withdrawn', a.rating IS NULL, 'at', a.rated_at
        ) ORDER BY a.rating_id), '[]')
        FROM movierec.app_ratings a
        LEFT JOIN movierec.datasets d USING (dataset_id)
        LEFT JOIN movierec.movies m
            ON m.movie_id = a.movie_id AND a.dataset_id = (SELECT dataset_id FROM movierec.loaded_dataset)
        WHERE a.user_id = u.user_id
    ),
    'rejected_ratings', (
        SELECT coalesce(jsonb_agg(to_jsonb(r) - 'file' ORDER BY r.line), '[]')
        FROM movierec.rejected_ratings r
        JOIN movierec.app_ratings a ON a.rating_id = r.line
        WHERE r.file = 'app_ratings' AND a.user_id = u.user_id
    ),
    'eligible_ratings', (SELECT e.ratings FROM movierec.eligible_users e WHERE e.user_id = u.user_id),
    'recommendations', (
        SELECT coalesce(jsonb_agg(to_jsonb(r) - 'user_id' ORDER BY r.rank), '[]')
        FROM movierec.user_recommendations r WHERE r.user_id = u.user_id
    ),
    'shown', (
        SELECT coalesce(jsonb_agg(to_jsonb(s) - 'user_id' ORDER BY s.at), '[]')
        FROM movierec.served s WHERE s.user_id = u.user_id
    ),
    'events', (
        SELECT coalesce(jsonb_agg(to_jsonb(e) - 'user_id' ORDER BY e.at), '[]')
        FROM movierec.events e WHERE e.user_id = u.user_id
    ),
    'keys', (
        SELECT coalesce(jsonb_agg(to_jsonb(k) - 'user_id' - 'digest' ORDER BY k.created_at), '[]')
        FROM movierec.api_keys k WHERE k.user_id = u.user_id
    ),
    'requests', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'idempotency_key', k.key, 'answer', k.answer, 'at', k.made_at
        ) ORDER BY k.made_at), '[]')
        FROM movierec.idempotency_keys k WHERE k.user_id = u.user_id
    )
)::text
FROM movierec.app_users u
WHERE u.user_id = %(user)s;
