"""The champion as it is served, over the movies in the tables.

Belongs here: checks that champion and tables are of one dataset, for the recommendation assets and for `serving`. Does
not: reading files (`version_files`), recommending (`recsys.recommender`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from movierec_assets.datasets.identity import SAME_PAIRS, Catalogue, PairSketch
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import OtherDatasetError, VersionFilesError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, DATASET, DATASET_ID, Version, other_data
from movierec_assets.ratings import pair_key
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import UNKNOWN_DATASET, datasets_of, loaded_dataset


@dataclass(frozen=True)
class ServedChampion:
    """The champion, checked against the tables.

    Attributes
    ----------
    version : Version
    recommender : Recommender
        Without movies that are no longer in the catalogue.
    positive_threshold : float
        Stars from which a rating was a like in training. Histories are folded in by the same definition.
    """

    version: Version
    recommender: Recommender
    positive_threshold: float


def load_champion(
    registry: ModelRegistry, database: Database, load: Callable[[Version], Recommender] | None = None
) -> ServedChampion:
    """Load the champion.

    Parameters
    ----------
    registry : ModelRegistry
    database : Database
    load : callable, optional
        Reads the recommender of a version; `registry.load` by default.

    Raises
    ------
    NoChampionError
        When there is none.
    OtherDatasetError
        When its movies or users are of another dataset.
    VersionFilesError
        When its files are gone or damaged.
    """
    recognize_champion(registry, database)
    champion = Promotions(registry, database).champion()
    if other_data(champion, loaded_dataset(database)) is not None:
        raise _refusal(champion, database)
    recommender = (load or registry.load)(champion)
    movies = database.rows(f"SELECT movie_id, title FROM {SCHEMA}.movies ORDER BY movie_id")
    catalogue = np.array([movie_id for movie_id, _ in movies], dtype=np.int64)
    _require_same_movies(champion, recommender, Catalogue.of(catalogue, [title for _, title in movies]), database)
    stars = champion.positive_threshold
    threshold = get_settings().positive_threshold if stars is None else stars
    return ServedChampion(champion, recommender.within(catalogue), threshold)


def _require_same_movies(champion: Version, recommender: Recommender, catalogue: Catalogue, database: Database) -> None:
    """Compare titles, because between two loads the movies may be of one dataset and the ratings of another."""
    if not recommender.titles or len(catalogue.movie_ids) == 0:
        return
    if not Catalogue.of(recommender.ids.movie_ids, recommender.titles).agrees_with(catalogue):
        raise _refusal(champion, database)


def recognize_champion(registry: ModelRegistry, database: Database) -> None:
    """Tag a champion with its dataset, where an earlier release trained it and did not record datasets.

    Its likes are compared with every dataset that was loaded here. When none has them, the tag is UNKNOWN_DATASET.
    """
    champion = registry.by_alias(CHAMPION)
    if champion is None or champion.dataset is not None:
        return
    known = datasets_of(database)
    if not known:
        return
    try:
        recommender = registry.load(champion)
    except VersionFilesError:
        return
    likes = PairSketch()
    users = np.repeat(recommender.ids.user_ids.astype(np.int32), np.diff(recommender.seen.indptr))
    likes.add(pair_key(users, recommender.ids.movie_ids.astype(np.int32)[recommender.seen.indices]))
    shares = [likes.share_of_smaller(contents.pairs) for _, contents in known]
    best = int(np.argmax(shares))
    found = known[best][0] if shares[best] >= SAME_PAIRS else UNKNOWN_DATASET
    registry.set_tag(champion.number, DATASET_ID, str(found.id))
    registry.set_tag(champion.number, DATASET, found.name)


def _refusal(champion: Version, database: Database) -> OtherDatasetError:
    loaded = loaded_dataset(database)
    trained_on = "another dataset" if champion.dataset is None else str(champion.dataset)
    name = "its dataset" if champion.dataset is None else champion.dataset.name
    return OtherDatasetError(
        f"The champion, version {champion.number}, was trained on {trained_on}, and {loaded or 'another dataset'} is "
        "loaded: the same numbers name other movies, so nothing is recommended. Train on the loaded dataset "
        f"(`movierec run --job train`), or load {name} again (`movierec run --dataset ...`)."
    )
