-- Loaded ratings of the pairs in the tail, seen by this transaction alone. OFFSET 0 makes the planner look up each pair in
-- the primary key, where a join might read all ratings. In the order of the key, so that each of its pages is read once.
CREATE TEMPORARY TABLE known ON COMMIT DROP AS
SELECT r.user_id, r.movie_id, r.rating, r.rated_at, r.line
FROM (SELECT DISTINCT user_id, movie_id FROM tail ORDER BY user_id, movie_id) t
CROSS JOIN LATERAL (
    SELECT * FROM movierec.ratings k WHERE k.user_id = t.user_id AND k.movie_id = t.movie_id OFFSET 0
) r;
ANALYZE known;
