-- Counts in more_totals, some of them negative, go into rating_totals.
INSERT INTO movierec.rating_totals AS t (movie_id, rating, ratings)
SELECT movie_id, rating, ratings FROM more_totals
ON CONFLICT (movie_id, rating) DO UPDATE SET ratings = t.ratings + excluded.ratings;
DELETE FROM movierec.rating_totals WHERE ratings = 0;
