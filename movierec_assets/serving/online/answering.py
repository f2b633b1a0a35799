"""From a request for a list to its answer: what is read for it, and what happens while the database is away.

Belongs here: reading ratings, stored lists and users of requests. Does not: ranking (`ranker`), and HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from movierec_assets.errors import ExplainedError
from movierec_assets.recsys.interactions import IntArray
from movierec_assets.serving.online.answers import Answer, Stored
from movierec_assets.serving.online.live import LiveRatings, LiveReader
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.requests import Request, RequestError
from movierec_assets.tables.app_users import user_exists
from movierec_assets.tables.database import SCHEMA, Database, DatabaseUnavailableError

WITHOUT_RATINGS = (
    "The ratings database does not answer now: the list is based on the liked movies of the request only, and may hold "
    "movies that the user has rated."
)


class UnknownIdError(ExplainedError, LookupError):
    """Nobody, or no movie, has an id; the message names it.

    Parameters
    ----------
    field : str
        Of the request.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


@dataclass(slots=True)
class Known:
    """What is known of the user of a request.

    Attributes
    ----------
    ratings : LiveRatings or None
        None where the stored state is used, and for nobody.
    stored : Stored or None
        Only where there is no model.
    without_ratings : bool
        Whether the ratings could not be read.
    """

    ratings: LiveRatings | None = None
    stored: Stored | None = None
    without_ratings: bool = False


NOBODY = Known()


async def known_of(request: Request, ranker: Ranker, live: LiveReader, queries: Any) -> Known:
    """What is known of the user of a request now.

    Raises
    ------
    UnknownIdError
        When there is no such user.
    DatabaseUnavailableError
        When the user cannot be read, and the request names no liked movies.
    """
    if request.user_id is None:
        return NOBODY
    states = None if request.explain or request.liked_movie_ids else ranker.users
    try:
        if states is not None:
            state = await live.state(request.user_id, states.ratings_version, states.watermark)
            if state.ratings is None and ranker.has_state(request, state.freshness):
                return NOBODY
        if states is None or state.ratings is None:
            state = await live.state(request.user_id, None, 0)
        assert state.ratings is not None
        if len(state.ratings.movie_ids) == 0:
            await _require_user(request.user_id, queries)
        stored = None
        if ranker.model is None and state.ratings.dataset_id == ranker.snapshot.catalogue.dataset_id:
            stored = await queries.run(lambda database: stored_list(database, request.user_id))
    except DatabaseUnavailableError:
        if not request.liked_movie_ids:
            raise
        return Known(without_ratings=True)
    return Known(state.ratings, stored)


def answered(request: Request, ranker: Ranker, known: Known, taken: Sequence[int] | set[int] = ()) -> Answer:
    """The list of a request.

    Raises
    ------
    UnknownIdError
        When a liked movie is not in the catalogue.
    RequestError
    """
    if request.liked_movie_ids:
        require_movies(ranker, request.liked_movie_ids, "liked_movie_ids")
    if known.without_ratings:
        answer = ranker.answer(replace(request, user_id=None), taken=taken)
        return replace(answer, notes=(*answer.notes, WITHOUT_RATINGS))
    return ranker.answer(request, known.ratings, stored=known.stored, taken=taken)


async def answered_all(
    requests: Sequence[Request],
    ranker: Ranker,
    live: LiveReader,
    queries: Any,
    *,
    distinct: bool,
    answer: Callable[..., Answer] = answered,
) -> list[Answer]:
    """The lists of several requests, with other requests in between; raises as `known_of` and `answered` do.

    Parameters
    ----------
    distinct : bool
        Whether no movie is in two of the lists.
    answer : callable
        In place of `answered`.
    """

    async def known(number: int, request: Request) -> Known:
        with _naming(number):
            return await known_of(request, ranker, live, queries)

    everybody = await asyncio.gather(*(known(number, request) for number, request in enumerate(requests)))
    taken: set[int] = set()
    answers = []
    for number, (request, of_user) in enumerate(zip(requests, everybody, strict=True)):
        with _naming(number):
            answers.append(answer(request, ranker, of_user, taken))
        if distinct:
            taken.update(answers[-1].movie_ids)
        await asyncio.sleep(0)
    return answers


@contextmanager
def _naming(number: int) -> Iterator[None]:
    """Errors in this context name a field of one of several requests."""
    try:
        yield
    except (UnknownIdError, RequestError) as error:
        error.field = f"requests.{number}.{error.field}"
        raise


def require_movies(ranker: Ranker, movie_ids: Sequence[int] | IntArray, field: str) -> None:
    """Refuse ids that no movie of the catalogue has.

    Raises
    ------
    UnknownIdError
    """
    rows = ranker.catalogued.rows_of(movie_ids)
    unknown = [movie_id for movie_id, row in zip(movie_ids, rows.tolist(), strict=True) if row < 0]
    if unknown and not len(ranker.catalogued.catalogue.movie_ids):
        raise UnknownIdError(field, "No movie has an id yet: no dataset is loaded. `movierec run` loads one.")
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        listed = ", ".join(map(str, unknown[:5]))
        raise UnknownIdError(field, f"No movie of the catalogue has the id {listed}{more}.")


def stored_list(database: Database, user_id: int | None) -> Stored | None:
    """The stored list of a user, of the dataset that is loaded; None without one."""
    rows = database.rows(
        f"""SELECT r.model_version, r.movie_id, r.score FROM {SCHEMA}.user_recommendations r
            WHERE r.user_id = %s AND EXISTS (
                SELECT FROM {SCHEMA}.promotion_decisions d
                JOIN {SCHEMA}.loads l ON l.dataset_id::text = d.version_tags ->> 'dataset_id'
                WHERE d.model_version = r.model_version AND d.promoted AND l.table_name = 'ratings'
            )
            ORDER BY r.rank""",
        [user_id],
    )
    if not rows:
        return None
    versions, movie_ids, scores = zip(*rows, strict=True)
    return Stored(versions[0], list(movie_ids), list(scores))


async def _require_user(user_id: int, queries: Any) -> None:
    """Refuse an id that nobody in the loaded file or in the app has."""

    def exists(database: Database) -> bool:
        with database.transaction() as cursor:
            return user_exists(cursor, user_id)

    if not await queries.run(exists):
        raise UnknownIdError("user_id", f"There is no user {user_id}; `POST /users` makes one.")
