-- Ratings of pairs that are in the tail as well, seen by this transaction alone. OFFSET 0 keeps it to a look into the
-- primary key for each pair: a join might read all ratings; in its order, so that neighbours meet their page of it once.
CREATE TEMPORARY TABLE known ON COMMIT DROP AS
SELECT r.user_id, r.movie_id, r.rating, r.rated_at, r.line
FROM (SELECT DISTINCT user_id, movie_id FROM tail ORDER BY user_id, movie_id) t
CROSS JOIN LATERAL (
    SELECT * FROM movierec.ratings k WHERE k.user_id = t.user_id AND k.movie_id = t.movie_id OFFSET 0
) r;
ANALYZE known;
