"""Which tables and assets are older than their sources, and whether to make them again now.

Belongs here: the comparisons and rules, on plain values. Does not: reading the values from Postgres, MLflow and Dagster
and requesting runs (`catch_up`), the champion's version in the serving tables (`publishing`).

Dagster concept: https://docs.dagster.io/guides/build/assets/asset-versioning-and-caching
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from movierec_assets.defs.attempts import Attempt, Plan, When, next_attempt
from movierec_assets.resources.provenance import FINGERPRINT, POSITIVES, SOURCES, SPLIT, SPLIT_PARTS

FILES, ELIGIBLE_USERS, POSITIVE_RATINGS, SPLIT_MATRICES, ALS_MODEL, DECISION, USER_RECOMMENDATIONS = LEVELS = (
    "files",
    "eligible_users",
    "positive_ratings",
    "split_matrices",
    "als_model",
    "decision",
    "user_recommendations",
)
RECORDED = (
    *("eligible_users", "positive_ratings", *SPLIT_PARTS),
    *("als_model", "return_evaluation", "model_evaluation", "champion_model", "user_recommendations"),
)
"""Assets whose latest metadata is compared."""
GRACE = timedelta(minutes=10)
"""Wait after a `refresh` for `daily_train`, which is scheduled five minutes later."""


@dataclass(frozen=True)
class Posted:
    """Ratings of the app since the likes were read last.

    Attributes
    ----------
    read : int or None
        Id of the last one that the likes were read with.
    count : int
        New ones.
    hours : float
        Age of the oldest new one.
    enough : int
        Number that starts a training.
    longest : float
        Age that starts a training.
    """

    read: int | None = None
    count: int = 0
    hours: float = 0.0
    enough: int = 1000
    longest: float = 24.0

    @property
    def due(self) -> bool:
        """Whether they start a training."""
        return self.count >= self.enough or (self.count > 0 and self.hours >= self.longest)

    @property
    def waiting(self) -> str:
        """A sentence about new ratings that do not start a training yet, after a space; empty without any."""
        if not self.count:
            return ""
        return (
            f" {self.count:,} ratings were posted since; {self.enough:,} start a training, or one that is "
            f"{self.longest:g} hours old."
        )


_WORDS = {"ratings": "load of ratings", "movies": "load of movies", "positive_threshold": "positive threshold"}


@dataclass(frozen=True)
class Facts:
    """State of files, tables, assets and champion.

    Attributes
    ----------
    files : str
        Paths, sizes and times of the dataset's files.
    loaded : bool
        Whether the tables hold the content of the files.
    loaded_at : str
        Unix seconds of the latest load of ratings.
    sources : mapping
        Versions of the loads of `ratings` and `movies`, and the `positive_threshold`.
    records : mapping of str to mapping
        Metadata of the latest materialization of each asset of RECORDED; assets without one are left out.
    decided : bool
        Whether a decision about the version of als_model was made since it was materialized.
    latest_decision : int or None
    champion : int or None
    served : mapping of str
        Version of each serving table, None when it has no rows.
    posted : Posted
    """

    files: str
    loaded: bool
    loaded_at: str
    sources: Mapping[str, Any]
    records: Mapping[str, Mapping[str, Any]]
    decided: bool
    latest_decision: int | None
    champion: int | None
    served: Mapping[str, int | None]
    posted: Posted = Posted()

    def recorded(self, asset: str, name: str) -> Any:
        """A value in an asset's metadata; None without one."""
        return self.records.get(asset, {}).get(name)


@dataclass(frozen=True)
class Stale:
    """The first level that is older than its source.

    Attributes
    ----------
    level : str
        One of LEVELS.
    why : str
    job : str
        Job that makes it again.
    cause : str
        Hash of the level and its sources. It stays the same while runs fail, and is new after new ratings or another
        threshold.
    """

    level: str
    why: str
    job: str
    cause: str


@dataclass(frozen=True)
class _Finding:
    """Why a level is stale, and its content, which stays the same when a run fails."""

    why: str
    content: Any


def first_stale(facts: Facts) -> Stale | None:
    """The first level that is older than its source; None when there is none."""
    for level, find in _FINDERS.items():
        found = find(facts)
        if found is not None:
            job = "publish" if level == USER_RECOMMENDATIONS else "everything"
            return Stale(level, found.why, job, _cause(level, found.content, facts))
    return None


def _cause(level: str, content: Any, facts: Facts) -> str:
    # Without the load of movies: movies are loaded before ratings, so a failed run may have changed them.
    sources = [facts.sources["ratings"], facts.loaded_at, facts.sources["positive_threshold"]]
    return hashlib.sha256(json.dumps([level, content, sources], sort_keys=True).encode()).hexdigest()[:16]


def _files(facts: Facts) -> _Finding | None:
    return None if facts.loaded else _Finding("The tables hold something else than the dataset's files", facts.files)


def _eligible_users(facts: Facts) -> _Finding | None:
    return _made_from_others(facts, "eligible_users", "ratings", "movies")


def _positive_ratings(facts: Facts) -> _Finding | None:
    older = _made_from_others(facts, "positive_ratings", "ratings", "movies", "positive_threshold")
    if older is not None or not facts.posted.due:
        return older  # the nightly training reads fewer new ratings of the app
    posted = facts.posted
    age = f"the oldest {posted.hours:.1f} hours old"
    return _Finding(
        f"positive_ratings was not made from {posted.count:,} ratings of the app, {age}", {"app_ratings": posted.read}
    )


def _made_from_others(facts: Facts, asset: str, *names: str) -> _Finding | None:
    made_from = facts.recorded(asset, SOURCES) or {}
    differing = [_WORDS[name] for name in names if made_from.get(name) != facts.sources[name]]
    if not differing:
        return None
    content = {name: made_from.get(name) for name in names}
    return _Finding(f"{asset} was not made from the current {' and '.join(differing)}", content)


def _split_matrices(facts: Facts) -> _Finding | None:
    content = [[facts.recorded(part, POSITIVES), facts.recorded(part, SPLIT)] for part in SPLIT_PARTS]
    made_from, split = content[0]
    together = all(part == content[0] for part in content)
    if together and split is not None and made_from == facts.recorded("positive_ratings", FINGERPRINT):
        return None
    return _Finding("The split was not made from the current positive_ratings", content)


def _als_model(facts: Facts) -> _Finding | None:
    split = facts.recorded("als_model", SPLIT)
    if split == facts.recorded("train_matrix", SPLIT):
        return None
    return _Finding("als_model was not trained on the current split", split)


def _decision(facts: Facts) -> _Finding | None:
    """A challenger without a decision. A challenger that a check stopped has the decision `rejected`."""
    version = facts.recorded("als_model", "model_version")
    if facts.decided or facts.recorded("champion_model", "challenger_version") == version:
        return None
    evaluated = facts.recorded("model_evaluation", "model_version") == version
    why = f"Nothing was decided about version {version}" + ("" if evaluated else ", which was not evaluated")
    # Not the version: a failed run may have registered another one.
    return _Finding(why, facts.latest_decision)


def _user_recommendations(facts: Facts) -> _Finding | None:
    carried = {version for version in facts.served.values() if version is not None}
    if facts.champion is None or carried != {facts.champion}:
        return None  # nothing to publish, or champion_sensor publishes it
    # The threshold does not count: a version is served by the definition of a like that it was trained with.
    return _made_from_others(facts, "user_recommendations", "ratings", "movies")


_FINDERS: dict[str, Callable[[Facts], _Finding | None]] = {
    FILES: _files,
    ELIGIBLE_USERS: _eligible_users,
    POSITIVE_RATINGS: _positive_ratings,
    SPLIT_MATRICES: _split_matrices,
    ALS_MODEL: _als_model,
    DECISION: _decision,
    USER_RECOMMENDATIONS: _user_recommendations,
}


def plan(stale: Stale, refreshed: datetime | None, attempts: Sequence[Attempt], now: datetime) -> Plan:
    """Decide whether to request a run for a stale level now.

    Parameters
    ----------
    stale : Stale
    refreshed : datetime or None
        End of the latest run of `refresh` that succeeded.
    attempts : sequence of Attempt
        Runs that were requested for this cause.
    now : datetime
    """
    in_time_for_training = refreshed is not None and refreshed <= now < refreshed + GRACE
    if in_time_for_training and stale.level not in (FILES, ELIGIBLE_USERS):
        return Plan(f"{stale.why}. `refresh` has just succeeded; what follows is left to `daily_train`.")
    counted = _since_the_outcome_changed(attempts)
    following = next_attempt(counted, now)
    if following.when is When.UNDER_WAY:
        return Plan(f"{stale.why}. A run of `{stale.job}` for it is under way.")
    if following.when is When.NEVER:
        runs = ", ".join(attempt.run_id for attempt in counted)
        return Plan(
            f"{stale.why}. `{stale.job}` was run {len(counted)} times for it without success: runs {runs}. "
            "It is not tried again until the dataset's files change. Correct the files, or put right what else went "
            f"wrong, then run `{stale.job}` by hand.",
            given_up=True,
        )
    if following.due is not None:
        return Plan(f"{stale.why}. `{stale.job}` did not succeed; it is tried again after {following.due:%H:%M} UTC.")
    # Dagster never runs a key twice, and the same cause can occur again after a success.
    latest = max(attempts, key=lambda attempt: attempt.order).run_id if attempts else "nothing"
    return Plan(f"{stale.why}.", run_key=f"{stale.cause}-after-{latest}")


def _since_the_outcome_changed(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Failures since the latest success; when the latest run succeeded, the successes since the latest failure."""
    newest_first = sorted(attempts, key=lambda attempt: attempt.order, reverse=True)
    alike = takewhile(lambda attempt: attempt.succeeded == newest_first[0].succeeded, newest_first)
    return list(alike)[::-1]
