-- Counts in more_stars and more_users, some of them negative, go into rating_totals and user_totals.
INSERT INTO movierec.rating_totals AS t (movie_id, rating, ratings)
SELECT movie_id, rating, ratings FROM more_stars
ON CONFLICT (movie_id, rating) DO UPDATE SET ratings = t.ratings + excluded.ratings;
DELETE FROM movierec.rating_totals WHERE ratings = 0;
INSERT INTO movierec.user_totals AS t (user_id, ratings)
SELECT user_id, ratings FROM more_users
ON CONFLICT (user_id) DO UPDATE SET ratings = t.ratings + excluded.ratings;
DELETE FROM movierec.user_totals WHERE ratings = 0;
