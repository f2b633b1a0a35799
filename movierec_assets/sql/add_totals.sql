-- Add the counts in more_rating_totals and more_user_totals, of which some are negative, to rating_totals and user_totals.
-- Existing rows are updated first: looking for a conflict before each row takes longer than one join.
UPDATE movierec.rating_totals t SET ratings = t.ratings + m.ratings
FROM more_rating_totals m WHERE t.movie_id = m.movie_id AND t.rating = m.rating;
INSERT INTO movierec.rating_totals (movie_id, rating, ratings)
SELECT movie_id, rating, ratings FROM more_rating_totals m
WHERE NOT EXISTS (SELECT FROM movierec.rating_totals t WHERE t.movie_id = m.movie_id AND t.rating = m.rating);
DELETE FROM movierec.rating_totals WHERE ratings = 0;
UPDATE movierec.user_totals t SET ratings = t.ratings + m.ratings
FROM more_user_totals m WHERE t.user_id = m.user_id;
INSERT INTO movierec.user_totals (user_id, ratings)
SELECT user_id, ratings FROM more_user_totals m
WHERE NOT EXISTS (SELECT FROM movierec.user_totals t WHERE t.user_id = m.user_id);
DELETE FROM movierec.user_totals WHERE ratings = 0;
