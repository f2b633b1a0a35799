"""Ratings that are posted, withdrawn and loaded in any order: every reader agrees with a plain model.

The model keeps the file as a dictionary and the app's rows as a list, and looks through all of them for each question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from movierec_assets.ratings import ELIGIBLE_ABOVE
from movierec_assets.serving.online.live import LiveReader
from movierec_assets.sql import read_sql
from movierec_assets.tables.app_ratings import (
    NoSuchMovieError,
    NoSuchUserError,
    NotRatedError,
    post_rating,
    settled_watermark,
    withdraw_rating,
)
from movierec_assets.tables.app_users import create_user, erase_user, ratings_of, refresh_eligible_users
from movierec_assets.tables.database import SCHEMA, Database, Load, record_load
from movierec_assets.tables.histories import read_users
from movierec_assets.tables.kept_connection import KeptDatabase
from movierec_tests.databases import own_database
from movierec_tests.defs.harness import count_users, empty, load_films
from movierec_tests.waiting import PATIENCE

FILE_USERS = (1, 2, 3)
MOVIES = range(1, 9)
PAST, FUTURE = 1_000_000_000, 4_000_000_000
"""Seconds before and after any rating of the app."""

Current = dict[int, tuple[float, int]]
"""Stars and Unix seconds by movie."""


@dataclass(frozen=True)
class Row:
    """A row of the app."""

    dataset: int
    user: int
    movie: int
    stars: float | None
    at: datetime


@dataclass
class Model:
    """Everything that was loaded and posted."""

    dataset: int = 1
    catalogue: frozenset[int] = frozenset(MOVIES)
    file: dict[tuple[int, int], tuple[float, int]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    app_users: set[int] = field(default_factory=set)

    def latest(self, user: int, movie: int) -> Row | None:
        mine = [row for row in self.rows if (row.dataset, row.user, row.movie) == (self.dataset, user, movie)]
        return max(enumerate(mine), key=lambda each: (each[1].at, each[0]))[1] if mine else None

    def counts(self, user: int, movie: int) -> tuple[float, int] | None:
        """Stars and seconds of the rating that counts."""
        if movie not in self.catalogue:
            return None
        row, filed = self.latest(user, movie), self.file.get((user, movie))
        if row is None or (filed is not None and datetime.fromtimestamp(filed[1], UTC) > row.at):
            return filed
        return None if row.stars is None else (row.stars, int(row.at.timestamp()))

    def current(self, user: int) -> Current:
        return {movie: found for movie in MOVIES if (found := self.counts(user, movie)) is not None}

    def everybody(self) -> dict[int, Current]:
        users = {*FILE_USERS, *(row.user for row in self.rows)}
        return {user: current for user in sorted(users) if (current := self.current(user))}

    def exists(self, user: int) -> bool:
        return user in self.app_users or any(user == filed for filed, _ in self.file)


class Ratings(RuleBasedStateMachine):
    """Posts, withdrawals, loads and erased users; between any two of them, everybody reads."""

    database: Database
    runner: asyncio.Runner
    live: LiveReader

    def __init__(self) -> None:
        super().__init__()
        empty(self.database)
        self.model = Model()
        self.loads = 0
        self.stored: dict[int, tuple[str | None, int, Current]] = {}
        with self.database.transaction() as cursor:
            cursor.execute(
                f"""INSERT INTO {SCHEMA}.datasets (name, movie_ids, titles, pairs)
                    VALUES ('one', '{{}}', '{{}}', '{{}}'), ('two', '{{}}', '{{}}', '{{}}')"""
            )
        self.load(1, frozenset(MOVIES), {(1, 1): (4.0, False), (1, 2): (2.0, False)})
        self.create()

    users = st.one_of(st.sampled_from(FILE_USERS), st.integers(0, 2).map(lambda at: -1 - at))
    """Of the file, or, where negative, one of those of the app."""
    movies = st.sampled_from(MOVIES)
    stars = st.integers(1, 10).map(lambda half: half / 2)

    def _named(self, user: int) -> int:
        known = sorted(self.model.app_users)
        return user if user > 0 else known[-user % len(known)] if known else 1_000_000_000

    @rule(
        dataset=st.sampled_from([1, 1, 1, 2]),
        catalogue=st.sampled_from([frozenset(MOVIES)] * 2 + [frozenset(range(1, 7))]),
        pairs=st.dictionaries(
            st.tuples(st.sampled_from(FILE_USERS), movies), st.tuples(stars, st.booleans()), min_size=1, max_size=20
        ),
    )
    def load(self, dataset: int, catalogue: frozenset[int], pairs: dict[tuple[int, int], tuple[float, bool]]) -> None:
        model = self.model
        model.dataset, model.catalogue = dataset, catalogue
        model.file = {
            pair: (stars, FUTURE if later else PAST) for pair, (stars, later) in pairs.items() if pair[1] in catalogue
        }
        self.loads += 1
        load_films(self.database, sorted(catalogue))
        with self.database.replace("ratings") as table:
            rows = [(*pair, stars, datetime.fromtimestamp(at, UTC)) for pair, (stars, at) in model.file.items()]
            table.write_rows(("user_id", "movie_id", "rating", "rated_at"), rows)
            count_users(table)
            record_load(table.cursor, "ratings", Load(f"load {self.loads}", "test", {}), dataset)

    @rule()
    def create(self) -> None:
        with self.database.transaction() as cursor:
            user = create_user(cursor).user_id
        assert user not in {row.user for row in self.model.rows}
        self.model.app_users.add(user)

    @precondition(lambda self: len(self.model.app_users) > 1)
    @rule()
    def erase(self) -> None:
        user = min(self.model.app_users)
        erase_user(self.database, user)
        self.model.app_users.remove(user)
        self.model.rows = [row for row in self.model.rows if row.user != user]
        self.stored.pop(user, None)

    @rule(user=users, movie=movies, stars=stars)
    def post(self, user: int, movie: int, stars: float) -> None:
        user, model = self._named(user), self.model
        latest = model.latest(user, movie)
        same = latest is not None and latest.stars == stars and model.file.get((user, movie), (0, PAST))[1] == PAST
        try:
            with self.database.transaction() as cursor:
                posted = post_rating(cursor, user, movie, stars)
        except NoSuchMovieError:
            assert movie not in model.catalogue
        except NoSuchUserError:
            assert not model.exists(user)
        else:
            assert movie in model.catalogue
            assert posted.added == (not same)
            if posted.added:
                assert latest is None or posted.rated_at >= latest.at
                model.rows.append(Row(model.dataset, user, movie, stars, posted.rated_at))
            assert model.current(user)[movie][0] == stars, "the latest rating wins"

    @rule(user=users, movie=movies)
    def withdraw(self, user: int, movie: int) -> None:
        user, model = self._named(user), self.model
        rated = movie in model.current(user)
        try:
            with self.database.transaction() as cursor:
                posted = withdraw_rating(cursor, user, movie)
        except NotRatedError:
            assert not rated
        except NoSuchUserError:
            assert not model.exists(user)
        else:
            assert rated
            model.rows.append(Row(model.dataset, user, movie, None, posted.rated_at))
            assert movie not in model.current(user)

    @rule()
    def store_states(self) -> None:
        """Keep what everybody has now, as the keeper does; later answers tell whether it is still so."""
        with self.database.transaction() as cursor:
            watermark = settled_watermark(cursor)
        version = f"load {self.loads}"
        for user in (*FILE_USERS, *self.model.app_users):
            self.stored[user] = version, watermark, self.model.current(user)

    @invariant()
    def every_view_agrees(self) -> None:
        expected = self.model.everybody()
        query = f"""SELECT user_id, movie_id, rating, extract(epoch FROM date_trunc('second', rated_at))::bigint
                    FROM {SCHEMA}.current_ratings"""
        found: dict[int, Current] = {}
        for user, movie, stars, at in self.database.rows(query):
            assert movie not in found.setdefault(user, {}), "a pair counts once"
            found[user][movie] = (stars, at)
        assert found == expected
        counts = self.database.rows(f"SELECT user_id, ratings FROM {SCHEMA}.rating_counts ORDER BY 1")
        assert counts == [(user, len(current)) for user, current in expected.items()]
        users = self.database.rows(f"SELECT user_id FROM {SCHEMA}.rating_users ORDER BY 1")
        assert users == [(user,) for user in expected]
        with self.database.transaction() as cursor:
            refresh_eligible_users(cursor)
        eligible = self.database.rows(f"SELECT user_id, ratings FROM {SCHEMA}.eligible_users ORDER BY 1")
        assert eligible == [pair for pair in counts if pair[1] > ELIGIBLE_ABOVE]

    @invariant()
    def every_reader_agrees(self) -> None:
        expected = self.model.everybody()
        read = {int(block.user_ids[0]): len(block.movie_id) for block in read_users(self.database, 4.0, [1])}
        assert read == ({1: len(expected[1])} if 1 in expected else {})
        (block,) = read_users(self.database, 4.0) if expected else [None]
        if block is not None:
            lengths = dict(zip(block.user_ids.tolist(), block.per_user.tolist(), strict=True))
            assert lengths == {user: len(current) for user, current in expected.items()}
        for user in (*FILE_USERS, *self.model.app_users):
            if self.model.exists(user):
                page = ratings_of(self.database, user, 100, 0)[1]
                assert {each.movie_id: each.stars for each in page} == {
                    movie: stars for movie, (stars, _) in expected.get(user, {}).items()
                }

    @invariant()
    def live_ratings_agree(self) -> None:
        for user in (*FILE_USERS, *self.model.app_users):
            version, watermark, then = self.stored.get(user, (None, 0, {}))
            now = self.model.current(user)
            state = self.runner.run(self.live.state(user, version, watermark))
            assert state.freshness == self.runner.run(self.live.freshness(user))
            assert (state.freshness.dataset_id, state.freshness.ratings_version) == (
                self.model.dataset,
                f"load {self.loads}",
            )
            if state.ratings is None:
                assert now == then, "nothing is newer than the stored state"
            else:
                columns = (state.ratings.movie_ids, state.ratings.stars, state.ratings.rated_at)
                triplets = list(zip(*(column.tolist() for column in columns), strict=True))
                assert sorted(triplets) == [(movie, *now[movie]) for movie in sorted(now)]

    @rule()
    def no_list_is_unsound(self) -> None:
        """Recommend every movie to everybody: those that are rated are counted."""
        listed = [(user, movie, movie, 0.5, 1) for user in FILE_USERS for movie in MOVIES]
        with self.database.replace("user_recommendations") as table:
            table.write_rows(("user_id", "rank", "movie_id", "score", "model_version"), listed)
        problems = dict(self.database.rows(read_sql("unsound_recommendations"), {"watermark": 2**62}))
        assert problems["movie rated by the user"] == sum(len(self.model.current(user)) for user in FILE_USERS)


@pytest.fixture
def machine(server_url: str) -> Iterator[Any]:
    with own_database(server_url) as url, asyncio.Runner() as runner:
        live = LiveReader(Database(url))
        kept = KeptDatabase(url, statement_seconds=PATIENCE)
        yield type("Machine", (Ratings,), {"database": kept, "runner": runner, "live": live})
        live.close()
        kept.close()


@pytest.mark.slow
def test_every_reader_agrees_with_a_plain_model(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=15, deadline=None))
