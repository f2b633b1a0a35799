-- What is left in the tail has won against every other rating of its pair. In the order of the primary key, so that
-- neighbours meet their page of it once.
INSERT INTO movierec.ratings AS r (user_id, movie_id, rating, line, rated_at)
SELECT user_id, movie_id, rating, line, rated_at FROM tail ORDER BY user_id, movie_id
ON CONFLICT (user_id, movie_id) DO UPDATE
SET rating = excluded.rating, line = excluded.line, rated_at = excluded.rated_at;
