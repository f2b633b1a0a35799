-- How many users are eligible, and the fewest, the median and the most of their ratings.
SELECT count(*), min(ratings), percentile_disc(0.5) WITHIN GROUP (ORDER BY ratings), max(ratings)
FROM movierec.eligible_users;
