-- The first three of the rows that did not load, for each file of the dataset and reason, with the number of such rows.
SELECT file, reason, rows, line, raw_text
FROM (
    SELECT file, split_part(reason, ': ', 1) AS reason, line, left(raw_text, 200) AS raw_text,
           count(*) OVER same AS rows, row_number() OVER (same ORDER BY line) AS place
    FROM movierec.rejected_ratings
    WHERE file <> 'app_ratings'
    WINDOW same AS (PARTITION BY file, split_part(reason, ': ', 1))
) numbered
WHERE place <= 3
ORDER BY file ~ '^(rating|u\.data)' DESC, file ~ '^(movie|u\.item)' DESC, file, rows DESC, reason, line
