-- Ratings that are left in the tail supersede every other rating of their pair. New pairs are inserted separately, because
-- looking for a conflict before each row takes longer than inserting it. In the order of the primary key, so that each of
-- its pages is written once.
INSERT INTO movierec.ratings (user_id, movie_id, rating, line, rated_at)
SELECT user_id, movie_id, rating, line, rated_at
FROM tail t
WHERE NOT EXISTS (SELECT FROM known k WHERE k.user_id = t.user_id AND k.movie_id = t.movie_id)
ORDER BY user_id, movie_id;
INSERT INTO movierec.ratings AS r (user_id, movie_id, rating, line, rated_at)
SELECT user_id, movie_id, rating, line, rated_at
FROM tail t
WHERE EXISTS (SELECT FROM known k WHERE k.user_id = t.user_id AND k.movie_id = t.movie_id)
ORDER BY user_id, movie_id
ON CONFLICT (user_id, movie_id) DO UPDATE
SET rating = excluded.rating, line = excluded.line, rated_at = excluded.rated_at;
