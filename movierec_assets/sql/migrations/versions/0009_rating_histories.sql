-- The rows of `ratings` again, one row a user: everybody's are read in a tenth of the time. Loading replaces both tables
-- together. Triggers bring every later change of `ratings` here.
CREATE TABLE movierec.rating_histories (
    user_id         integer NOT NULL PRIMARY KEY,
    movie_ids       bytea   NOT NULL, -- int4send of each, in no order
    times_and_stars bytea   NOT NULL  -- in the order of movie_ids, int8send of: Unix seconds * 16 + half stars
) PARTITION BY RANGE (user_id);
-- These bytes do not compress.
ALTER TABLE movierec.rating_histories
    ALTER movie_ids SET STORAGE EXTERNAL,
    ALTER times_and_stars SET STORAGE EXTERNAL;

-- Whether `rating_histories` was filled together with `ratings`. It was not in a database of an earlier version, until
-- ratings are loaded as a whole. Tables of one load have one suffix.
CREATE FUNCTION movierec.has_histories() RETURNS boolean STABLE LANGUAGE sql AS $$
    SELECT EXISTS (
        SELECT FROM pg_inherits r
        JOIN pg_class ratings ON ratings.oid = r.inhrelid
        JOIN pg_inherits h ON h.inhparent = 'movierec.rating_histories'::regclass
        JOIN pg_class histories ON histories.oid = h.inhrelid
        WHERE r.inhparent = 'movierec.ratings'::regclass
        AND substring(ratings.relname FROM '_[0-9]+$') = substring(histories.relname FROM '_[0-9]+$')
    )
$$;

CREATE FUNCTION movierec.add_to_histories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF movierec.has_histories() THEN
        INSERT INTO movierec.rating_histories AS h (user_id, movie_ids, times_and_stars)
        SELECT user_id, string_agg(int4send(movie_id), ''),
               string_agg(int8send(floor(date_part('epoch', rated_at))::bigint * 16 + (rating * 2)::integer), '')
        FROM added
        GROUP BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET movie_ids = h.movie_ids || excluded.movie_ids,
            times_and_stars = h.times_and_stars || excluded.times_and_stars;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION movierec.make_histories_again(users integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF movierec.has_histories() THEN
        DELETE FROM movierec.rating_histories WHERE user_id = ANY (users);
        INSERT INTO movierec.rating_histories (user_id, movie_ids, times_and_stars)
        SELECT user_id, string_agg(int4send(movie_id), ''),
               string_agg(int8send(floor(date_part('epoch', rated_at))::bigint * 16 + (rating * 2)::integer), '')
        FROM movierec.ratings
        WHERE user_id = ANY (users)
        GROUP BY user_id;
    END IF;
END
$$;

CREATE FUNCTION movierec.change_histories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM movierec.make_histories_again(
        array(SELECT user_id FROM removed UNION SELECT user_id FROM added)
    );
    RETURN NULL;
END
$$;

CREATE FUNCTION movierec.remove_from_histories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM movierec.make_histories_again(array(SELECT DISTINCT user_id FROM removed));
    RETURN NULL;
END
$$;

CREATE FUNCTION movierec.empty_histories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM movierec.rating_histories;
    RETURN NULL;
END
$$;

CREATE TRIGGER add_to_histories AFTER INSERT ON movierec.ratings
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION movierec.add_to_histories();
CREATE TRIGGER change_histories AFTER UPDATE ON movierec.ratings
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT
    EXECUTE FUNCTION movierec.change_histories();
CREATE TRIGGER remove_from_histories AFTER DELETE ON movierec.ratings
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION movierec.remove_from_histories();
CREATE TRIGGER empty_histories AFTER TRUNCATE ON movierec.ratings
    FOR EACH STATEMENT EXECUTE FUNCTION movierec.empty_histories();
