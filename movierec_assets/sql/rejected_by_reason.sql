-- Rows of the dataset's files that did not load, counted by reason, with the first of each.
WITH counted AS (
    SELECT file, split_part(reason, ': ', 1) AS reason, count(*) AS rows, min(line) AS line
    FROM movierec.rejected_ratings
    WHERE file <> 'app_ratings'
    GROUP BY 1, 2
)
SELECT c.file, c.reason, c.rows, c.line, r.raw_text
FROM counted c
JOIN movierec.rejected_ratings r ON r.file = c.file AND r.line = c.line
ORDER BY c.file ~ '^(rating|u\.data)' DESC, c.file ~ '^(movie|u\.item)' DESC, c.file, c.rows DESC, c.line
