-- Number of eligible users, with the minimum, median and maximum of their numbers of ratings.
SELECT count(*), min(ratings), percentile_disc(0.5) WITHIN GROUP (ORDER BY ratings), max(ratings)
FROM movierec.eligible_users;
