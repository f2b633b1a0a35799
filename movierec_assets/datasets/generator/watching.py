"""Which user rates which film, when, and with how much pleasure; for one block of users at a time.

Belongs here: drawing films from users' topics, each film once for each user and none before its release. Does not: the
odds (`appeal`), the days (`sittings`), stars (`stars`).

Users with few ratings draw films with replacement and drop repeated ones; the cost is in proportion to their ratings.
For users with many ratings, and for those whose draws did not suffice, every film gets a random time with rate p_j, and
the n earliest are taken. Both follow the same model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.generator.appeal import Appeal, age_index, interest_by_age
from movierec_assets.datasets.generator.habits import Habits
from movierec_assets.datasets.generator.sittings import LAST_SECOND, Sittings, cumulative_within, pages_of, pauses
from movierec_assets.datasets.generator.tastes import SLOTS, Tastes

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]

_MAX_BY_DRAWING = 800
"""Users with more ratings get a random time for every film."""

_SPARE_DRAWS = 1.25
_MOOD = 0.75  # share of the films on a page that are of the page's topic
_DENSE_CELLS = 1 << 22
_NEVER = np.float32(1e-30)  # odds of films that are drawn only where no others are left

# Pleasure in a film: of its topic, of the user, of the film and by chance, in units of one star or so.
_MILDNESS_SPREAD, _CHANCE_SPREAD = 0.4, 0.75


@dataclass(frozen=True)
class World:
    """Everything that the blocks share.

    Attributes
    ----------
    habits : Habits
    ratings : int array, shape (n_users,)
        Number of ratings of each user.
    sittings : Sittings
    tastes : Tastes
    appeal : Appeal
    cumulative : float array, shape (topics * n_films,)
        Running sums of the odds, topic t from t to t + 1.
    fit : float32 array, shape (topics, n_films)
        How well films fit topics.
    year : int16 array, shape (n_films,)
    quality : float array, shape (n_films,)
        Part of the pleasure in a film that all users share, in stars.
    first_user : int array, shape (n_films,)
        One user who rates the film in any case, so that every film has a rating.
    portable : bool
        Give the same bytes on every processor.
    """

    habits: Habits
    ratings: IntArray
    sittings: Sittings
    tastes: Tastes
    appeal: Appeal
    cumulative: FloatArray
    fit: FloatArray
    year: npt.NDArray[np.int16]
    quality: FloatArray
    first_user: IntArray
    portable: bool


@dataclass(frozen=True)
class Watched:
    """Ratings without stars, in order of user, then film.

    Attributes
    ----------
    film : int32 array, shape (n,)
    rated_at : int32 array, shape (n,)
        Unix seconds.
    pleasure : float32 array, shape (n,)
        The higher, the more stars.
    """

    film: npt.NDArray[np.int32]
    rated_at: npt.NDArray[np.int32]
    pleasure: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Block:
    """Users of a block and their pages, in order of user; users and pages are numbered from 0 in the block."""

    users: IntArray
    ratings: IntArray
    first_page: IntArray
    page_topic: IntArray
    page_sitting: IntArray
    page_year: npt.NDArray[np.int16]
    page_late: FloatArray


@dataclass(frozen=True)
class _Seen:
    """Columns of equal length: user and page in the block, film, and how well the film fits."""

    user: IntArray
    film: IntArray
    page: IntArray
    fit: FloatArray

    def rows(self, index: npt.NDArray[Any]) -> _Seen:
        return _Seen(*(column[index] for column in vars(self).values()))

    def and_(self, other: _Seen) -> _Seen:
        return _Seen(*map(np.concatenate, zip(vars(self).values(), vars(other).values(), strict=True)))


def watch(world: World, start: int, stop: int, rng: np.random.Generator) -> Watched:
    """Let users `start` to `stop` watch and rate as many films as `world.ratings` says."""
    block = _lay_out_pages(world, start, stop, rng)
    seen = _unique(_first_viewings(world, block, rng).and_(_draw(world, block, rng)), block)
    seen = seen.and_(_draw_against_all(world, block, seen, rng))
    return _rate(world, block, seen, rng)


def _lay_out_pages(world: World, start: int, stop: int, rng: np.random.Generator) -> _Block:
    users = np.arange(start, stop)
    ratings = world.ratings[start:stop]
    pages = pages_of(ratings, world.habits)
    first_page = np.concatenate(([0], np.cumsum(pages)))
    user = np.repeat(np.arange(stop - start), pages)
    number = np.arange(len(user)) - first_page[user]
    sittings = np.diff(world.sittings.first)[users]
    sitting = (number * sittings[user]) // pages[user]
    late = (number + 0.5) / pages[user]
    start_of = world.sittings.first[users][user] + sitting
    topic = _topics(world.tastes, users[user], late, rng)
    year = world.sittings.year_of(start_of)
    return _Block(users, ratings, first_page, topic, start_of, year, late.astype(np.float32))


def _topics(tastes: Tastes, user: IntArray, late: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draw a topic of each user, with the shares at that part of the history."""
    now = np.where((rng.random(len(user)) < late)[:, None], tastes.after[user], tastes.before[user])
    slot = (rng.random(len(user))[:, None] > np.cumsum(now, axis=1)).sum(axis=1)
    topic: IntArray = tastes.topic[user, np.minimum(slot, SLOTS - 1)]
    return topic


def _first_viewings(world: World, block: _Block, rng: np.random.Generator) -> _Seen:
    """Films whose `first_user` is in the block."""
    film = np.flatnonzero((world.first_user >= block.users[0]) & (world.first_user <= block.users[-1]))
    user = world.first_user[film] - block.users[0]
    page = _page_after_release(block, user, world.year[film], rng)
    return _Seen(user, film, page, world.fit[block.page_topic[page], film])


def _page_after_release(
    block: _Block, user: IntArray, year: npt.NDArray[np.int16], rng: np.random.Generator
) -> IntArray:
    """A random page of each user in or after a year; the last page where there is none."""
    # Years increase over a user's pages, so that one sorted key finds the first page that is late enough.
    pages = np.repeat(np.arange(len(block.users)), np.diff(block.first_page))
    earliest = np.searchsorted(pages * 10_000 + block.page_year, user * 10_000 + year)
    last = block.first_page[user + 1] - 1
    earliest = np.minimum(earliest, last)
    page: IntArray = earliest + (rng.random(len(user)) * (last - earliest + 1)).astype(np.int64)
    return page


def _draw(world: World, block: _Block, rng: np.random.Generator) -> _Seen:
    """Draw films with replacement for users with few ratings, somewhat more than they need."""
    n_films = len(world.year)
    by_drawing = block.ratings <= min(_MAX_BY_DRAWING, n_films // 2)
    draws = np.where(by_drawing, np.ceil(_SPARE_DRAWS * world.appeal.draws_for(block.ratings)) + 4, 0)
    draws = np.minimum(draws, 20 * block.ratings).astype(np.int64)
    user = np.repeat(np.arange(len(draws), dtype=np.int32), draws)
    count = len(user)
    pages = np.diff(block.first_page).astype(np.float32)
    page = block.first_page[user] + (rng.random(count, dtype=np.float32) * pages[user]).astype(np.int64)

    topic = block.page_topic[page]
    dice = rng.random(count, dtype=np.float32)
    casual = world.tastes.casual[block.users].astype(np.float32)[user]
    topic[dice < casual] = 0
    other = np.flatnonzero(dice > casual + (1 - casual) * np.float32(_MOOD))
    topic[other] = _topics(world.tastes, block.users[user[other]], block.page_late[page[other]], rng)

    film = np.searchsorted(world.cumulative, topic + rng.random(count), side="right") - topic * n_films
    film = np.clip(film, 0, n_films - 1)
    interest = interest_by_age()[age_index(block.page_year[page], world.year[film])]
    keep = np.flatnonzero(rng.random(count, dtype=np.float32) < interest)
    film, topic = film[keep], topic[keep]
    return _Seen(user[keep].astype(np.int64), film, page[keep], world.fit[topic, film])


def _unique(seen: _Seen, block: _Block) -> _Seen:
    """Drop repeated films, and films beyond the number of ratings of the user, in the order of drawing."""
    bits = max(1, len(seen.user).bit_length())
    n_films = int(seen.film.max(initial=0)) + 1
    index = np.arange(len(seen.user))
    # Sorting packed keys takes a tenth of the time of sorting by two keys.
    packed = np.sort(((seen.user * n_films + seen.film) << bits) | index)
    pair = packed >> bits
    first = np.ones(len(pair), dtype=np.bool_)
    first[1:] = pair[1:] != pair[:-1]
    index = packed[first] & ((1 << bits) - 1)
    by_user = np.sort((seen.user[index] << bits) | index)
    user, index = by_user >> bits, by_user & ((1 << bits) - 1)
    rank = np.arange(len(user)) - np.searchsorted(user, np.arange(len(block.users)))[user]
    return seen.rows(index[rank < block.ratings[user]])


def _draw_against_all(world: World, block: _Block, seen: _Seen, rng: np.random.Generator) -> _Seen:
    """Draw the missing films of users who have too few."""
    missing = block.ratings - np.bincount(seen.user, minlength=len(block.users))
    short = np.flatnonzero(missing)
    first = np.searchsorted(seen.user, np.arange(len(block.users) + 1))
    step = max(1, _DENSE_CELLS // len(world.year))
    users, films = [], []
    for begin in range(0, len(short), step):
        part = short[begin : begin + step]
        mixture = world.tastes.mixture(block.users[part])
        rate = mixture @ world.appeal.odds
        last_year = block.page_year[block.first_page[part + 1] - 1]
        rate *= interest_by_age()[age_index(last_year[:, None], world.year[None, :])]
        # A time of zero would come first at any rate.
        waiting = np.maximum(rng.standard_exponential(rate.shape, dtype=np.float32), np.float32(1e-9))
        moment = waiting / np.maximum(rate, _NEVER)
        for row, user in enumerate(part):
            moment[row, seen.film[first[user] : first[user + 1]]] = np.inf
            count = int(missing[user])
            chosen = np.argpartition(moment[row], count - 1)[:count]
            films.append(np.sort(chosen) if world.portable else chosen)  # their order is the processor's
            users.append(np.full(count, user))
    if not users:
        return seen.rows(np.empty(0, dtype=np.int64))
    user, film = np.concatenate(users), np.concatenate(films)
    page = _page_after_release(block, user, world.year[film], rng)
    return _Seen(user, film, page, world.fit[block.page_topic[page], film])


def _rate(world: World, block: _Block, seen: _Seen, rng: np.random.Generator) -> Watched:
    """Give every rating its second and its pleasure."""
    count = len(seen.user)
    bits = max(1, count.bit_length())
    shuffled = rng.permutation(count)
    order = shuffled[np.sort((seen.page[shuffled] << bits) | np.arange(count)) & ((1 << bits) - 1)]
    sitting = block.page_sitting[seen.page[order]]
    first = np.flatnonzero(np.concatenate(([True], sitting[1:] != sitting[:-1])))
    length = np.diff(np.concatenate((first, [count])))
    waited = pauses(count, rng)
    waited[first] = 0
    rated_at = np.empty(count, dtype=np.int32)
    rated_at[order] = np.minimum(world.sittings.start[sitting] + cumulative_within(waited, first, length), LAST_SECOND)

    mildness = _MILDNESS_SPREAD * rng.standard_normal(len(block.users))
    pleasure = (
        world.habits.pleasure_of_fit * seen.fit
        + mildness[seen.user]
        + world.quality[seen.film]
        + _CHANCE_SPREAD * rng.standard_normal(count, dtype=np.float32)
    )
    by_film = np.argsort(seen.user * len(world.year) + seen.film)
    return Watched(seen.film[by_film].astype(np.int32), rated_at[by_film], pleasure[by_film].astype(np.float32))


def running_odds(odds: FloatArray) -> FloatArray:
    """Running sums of the odds of all topics in one increasing array, topic t from t to t + 1."""
    sums = np.cumsum(odds.astype(np.float64), axis=1)
    sums /= sums[:, -1:]
    flat: FloatArray = (sums + np.arange(len(sums))[:, None]).ravel()
    return flat
