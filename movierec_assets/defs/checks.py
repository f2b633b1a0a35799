"""Conditions on data and models before training and promotion.

Belongs here: asset checks. Those that are blocking stop everything downstream of them, and the tables and the champion
stay as they were. Does not: checks of the tables that are served (`list_checks`), the figures of a check
(`recsys.guardrails`).

Dagster concept: asset checks, https://docs.dagster.io/guides/test/asset-checks
"""

import numpy as np
import pandas as pd
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetIn,
    MetadataValue,
    asset_check,
)
from scipy.sparse import csr_matrix

from movierec_assets.datasets.judgement import ALWAYS_ALLOWED
from movierec_assets.datasets.rejects import RejectReason, Rejects
from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.recommendations import PER_USER
from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.version import CHAMPION as CHAMPION_ALIAS
from movierec_assets.recsys.comparison import paired_difference
from movierec_assets.recsys.evaluation import HEADLINE
from movierec_assets.recsys.few_users import why_few
from movierec_assets.recsys.guardrails import unsound_transitions
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.promotion import IMPROVEMENT_MARGIN, Margins
from movierec_assets.recsys.rankers import CHAMPION, MODEL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.split import MIN_TRAIN_TO_EVALUATE, Split
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import record
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.histories import titles_of

WORTH_A_WARNING = 0.01
"""Share of rejected rows above which the check warns."""
_WARNS = f"this check warns above {WORTH_A_WARNING:.0%}"

_PARTS = {name: AssetIn(name) for name in ("validation_matrix", "test_matrix")}


@asset_check(asset="raw_ratings", blocking=True)
def most_rows_loaded(postgres: PostgresResource) -> AssetCheckResult:
    """Nearly all rows of the file were loaded; superseded ratings count as loaded.

    A file with too many rejected rows is refused before it is loaded. This check stops at ratings that were loaded
    under a larger MOVIEREC_MAX_REJECTED_SHARE, or by an earlier version of the platform.
    """
    load = postgres.open().last_load("ratings")
    read = load.details["rows_read"] if load else 0
    rejected = load.details["rejected"] if load else {}
    superseded = rejected.get(Rejects.compact(RejectReason.DUPLICATE_RATING), 0)
    invalid, limit = sum(rejected.values()) - superseded, get_settings().max_rejected_share
    share = invalid / read if read else 1.0
    too_many = share > limit and invalid > ALWAYS_ALLOWED
    rule = f"at most {limit:.0%} may be (MOVIEREC_MAX_REJECTED_SHARE)" if too_many else _WARNS
    return AssetCheckResult(
        passed=share <= WORTH_A_WARNING,
        severity=AssetCheckSeverity.ERROR if too_many else AssetCheckSeverity.WARN,
        description=f"{share:.2%} of {read:,} rows rejected, {rule}; see {SCHEMA}.rejected_ratings.",
        metadata={"rejected_by_reason": MetadataValue.json(rejected), "rejected_share": share},
    )


@asset_check(asset="train_matrix", additional_ins=_PARTS, blocking=True)
def no_future_in_the_past(
    train_matrix: Interactions, validation_matrix: Interactions, test_matrix: Interactions
) -> AssetCheckResult:
    """The three parts share no pair, and for every user each part is later than the one before it."""
    parts = (train_matrix, validation_matrix, test_matrix)
    pairs = sum(len(part) for part in parts)
    distinct = (train_matrix.stars + validation_matrix.stars + test_matrix.stars).nnz
    users = train_matrix.shape[0]
    early = 0
    latest = np.full(users, np.iinfo(np.int64).min)
    for part in parts:
        rows, _, _, rated_at = part.triplets()
        early += int((rated_at <= latest[rows]).sum())
        np.maximum.at(latest, rows, rated_at)
    return AssetCheckResult(
        passed=pairs == distinct and early == 0,
        description=f"{pairs - distinct} pairs in two parts, {early} held-out positives not later than the part before",
        metadata={"pairs": pairs, "pairs_in_two_parts": pairs - distinct, "not_later": early},
    )


@asset_check(asset="train_matrix", additional_ins=_PARTS, blocking=True)
def somebody_can_be_evaluated(
    train_matrix: Interactions, validation_matrix: Interactions, test_matrix: Interactions
) -> AssetCheckResult:
    """Enough users have enough positives before the held-out ones to be scored."""
    split = Split(train_matrix, validation_matrix, test_matrix)
    users, minimum = len(split.evaluated_users("test")), get_settings().min_evaluated_users
    return AssetCheckResult(
        passed=users >= minimum,
        description=f"{users:,} users have {MIN_TRAIN_TO_EVALUATE} positives or more before their latest ones; "
        f"at least {minimum} are asked for (MOVIEREC_MIN_EVALUATED_USERS). "
        + ("" if users >= minimum else why_few(split.before("test"), test_matrix)),
        metadata={"evaluated_users": users},
    )


@asset_check(asset="als_model", blocking=True)
def factors_are_finite(als_model: Challenger) -> AssetCheckResult:
    """Factors are finite and not all zero; next-movie transitions are finite, not negative, and few for each movie."""
    # The fit of an earlier version has no user vectors.
    factors = [each for each in (als_model.scored.movies, als_model.scored.users) if len(each)]
    broken = sum(int((~np.isfinite(matrix)).sum()) for matrix in factors)
    empty = sum(not matrix.any() for matrix in factors)
    unsound = unsound_transitions(als_model.scored.next_movies, len(als_model.scored.movies))
    return AssetCheckResult(
        passed=broken == 0 and empty == 0 and len(als_model.scored.movies) > 0 and not any(unsound.values()),
        description=f"{broken} factors are not finite, {empty} of {len(factors)} matrices are all zero; {unsound}",
        metadata={"not_finite": broken},
    )


@asset_check(
    asset="als_model",
    additional_ins={"train_matrix": AssetIn("train_matrix"), **_PARTS, "id_maps": AssetIn("id_maps")},
    blocking=True,
)
def registered_version_answers(
    als_model: Challenger,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    postgres: PostgresResource,
    registry: RegistryResource,
) -> AssetCheckResult:
    """The new version, read back from the registry, answers for users with movies they have not liked yet.

    Its next-movie transitions are sound.
    """
    split = Split(train_matrix, validation_matrix, test_matrix)
    return _answers(als_model.version, split, ids_from(id_maps), postgres, registry)


@asset_check(asset="champion_refit", blocking=True)
def refitted_champion_answers(
    champion_refit: ChampionFit, postgres: PostgresResource, registry: RegistryResource
) -> AssetCheckResult:
    """The champion's recipe on changed data, where it was trained, has finite factors and answers like a challenger."""
    if champion_refit.refit is None:
        return AssetCheckResult(passed=True, description="The champion's recipe was not trained on changed data.")
    scored = champion_refit.refit.scored
    unsound = unsound_transitions(scored.next_movies, len(scored.movies))
    if not np.isfinite(scored.movies).all() or any(unsound.values()):
        return AssetCheckResult(passed=False, description=f"Factors are not finite, or transitions unsound: {unsound}")
    return _answers(champion_refit.refit.version, None, None, postgres, registry)


def _answers(
    version: int,
    split: Split | None,
    ids: IdMaps | None,
    postgres: PostgresResource,
    registry: RegistryResource,
) -> AssetCheckResult:
    """Ask a version for the users with most likes, and count movies that must not be in their lists.

    Without `split`, the likes that the version was trained on are taken.
    """
    versions = registry.open()
    recommender = versions.load(versions.version(version))
    ids = recommender.ids if ids is None else ids
    per_user = np.diff(recommender.seen.indptr) if split is None else split.per_user
    users = np.argsort(-per_user, kind="stable")[:100]
    liked: csr_matrix = recommender.seen[users] if split is None else split.of_users(users).together().stars
    lists = recommender.for_known(ids.user_ids[users], PER_USER)
    movie_ids = recommender.movie_ids_of(lists)
    problems = {"already liked": 0, "listed twice": 0, "unknown movie": 0, "empty list": 0}
    problems |= unsound_transitions(recommender.next_movies, len(recommender.ids.movie_ids))
    for place, row in enumerate(movie_ids):
        listed = row[row >= 0]
        own = ids.movie_ids[liked.indices[liked.indptr[place] : liked.indptr[place + 1]]]
        problems["already liked"] += int(np.isin(listed, own).sum())
        problems["listed twice"] += len(listed) - len(np.unique(listed))
        problems["unknown movie"] += int((~np.isin(listed, ids.movie_ids)).sum())
        problems["empty list"] += len(listed) == 0 and len(own) < len(ids.movie_ids)
    names = titles_of(postgres.open(), movie_ids[0, :5])
    return AssetCheckResult(
        passed=not any(problems.values()),
        description=f"Version {version}, {len(users)} users: {problems}",
        metadata={
            "example": MetadataValue.text(
                f"user {ids.user_ids[users[0]]}: " + "; ".join(names.get(int(movie), "?") for movie in movie_ids[0, :5])
            )
        },
    )


@asset_check(asset="return_evaluation", additional_ins={"champion_refit": AssetIn("champion_refit")}, blocking=True)
def not_worse_on_return(
    return_evaluation: pd.DataFrame, champion_refit: ChampionFit, registry: RegistryResource
) -> AssetCheckResult:
    """The challenger's recipe is not clearly worse than the champion's for people who come back.

    It only warns where the run has something to serve instead of the challenger: the champion's recipe on changed data,
    or the champion, while another dataset's is served. Then champion_model rejects the challenger.
    """
    compared = ReturnFigures.of(return_evaluation).compared
    margin = Margins(get_settings().improvement_margin).loss_on_return
    worse = compared.clearly_worse(margin)
    if champion_refit.champion is None:
        found = "There is no champion to compare with."
    elif champion_refit.same_recipe:
        found = "The challenger has the champion's recipe."
    else:
        found = compared.sentence
    instead, severity = "", AssetCheckSeverity.ERROR
    if worse and champion_refit.refit is not None:
        instead = f" Version {champion_refit.refit.version}, the champion's recipe on changed data, can serve instead."
        severity = AssetCheckSeverity.WARN
    elif worse and not _serves(champion_refit.champion, registry):
        instead = f" Version {champion_refit.champion}, the champion of this data, serves again."
        severity = AssetCheckSeverity.WARN
    return AssetCheckResult(
        passed=not worse,
        severity=severity,
        description=f"{found}{instead} A loss fails that is certain and at least {margin:.1%} "
        f"(MOVIEREC_IMPROVEMENT_MARGIN, but never more than {IMPROVEMENT_MARGIN:.1%}).",
        metadata={**compared.numbers, "least_loss": margin},
    )


def _serves(champion: int | None, registry: RegistryResource) -> bool:
    """Whether the champion of the challenger's data has the alias now."""
    now = registry.open().by_alias(CHAMPION_ALIAS)
    return now is not None and now.number == champion


@asset_check(asset="model_evaluation", blocking=True)
def scores_are_sound(model_evaluation: pd.DataFrame) -> AssetCheckResult:
    """Every score is in [0, 1], and all rankers are scored on the same users, the champion perhaps on some of them."""
    scores = model_evaluation.drop(columns=["ranker", "user_id", "held_out"]).to_numpy()
    outside = int((~((scores >= 0) & (scores <= 1 + 1e-9))).sum())
    users = {ranker: frame["user_id"].tolist() for ranker, frame in model_evaluation.groupby("ranker")}
    champion = users.pop(CHAMPION, [])
    everybody, compared = users[MODEL], set(champion)
    same = all(listed == everybody for listed in users.values())
    same &= champion == [user for user in everybody if user in compared]
    return AssetCheckResult(
        passed=outside == 0 and same and len(scores) > 0,
        description=f"{outside} scores outside [0, 1]; rankers have {'the same' if same else 'different'} users",
        metadata={"scores": int(scores.size), "outside": outside},
    )


@asset_check(asset="model_evaluation", blocking=True)
def coverage_has_not_collapsed(context: AssetCheckExecutionContext) -> AssetCheckResult:
    """The share of movies in any of the challenger's lists is not much smaller than the champion's, or popularity's."""
    found = record(context.instance, "model_evaluation")
    own = found[f"{MODEL}_lists_coverage_at_10"]
    beside = CHAMPION if f"{CHAMPION}_lists_coverage_at_10" in found else POPULARITY
    other, share = found[f"{beside}_lists_coverage_at_10"], get_settings().min_coverage
    return AssetCheckResult(
        passed=own >= share * other,
        description=f"{own:.1%} of the movies are listed, {beside}: {other:.1%}; at least {share:g} times as much is "
        "asked for (MOVIEREC_MIN_COVERAGE).",
        metadata={"coverage_at_10": own, f"{beside}_coverage_at_10": other, "least_share": share},
    )


@asset_check(asset="model_evaluation", blocking=True)
def not_only_popular_movies(context: AssetCheckExecutionContext) -> AssetCheckResult:
    """The most popular hundredth of the movies does not fill the challenger's lists."""
    share = record(context.instance, "model_evaluation")[f"{MODEL}_lists_popularity_share_at_10"]
    limit = get_settings().max_popularity_share
    return AssetCheckResult(
        passed=share <= limit,
        description=f"The top 1 % of the movies take {share:.1%} of the positions; at most {limit:.0%} is allowed "
        "(MOVIEREC_MAX_POPULARITY_SHARE).",
        metadata={"popularity_share_at_10": share, "most": limit},
    )


@asset_check(asset="model_evaluation", blocking=True)
def lists_are_full_and_unseen(context: AssetCheckExecutionContext) -> AssetCheckResult:
    """Nearly every evaluated user gets 20 movies, or all that there are, and none from the user's own history."""
    found = record(context.instance, "model_evaluation")
    full, seen, minimum = found["full_lists"], found["seen_items"], get_settings().min_full_lists
    return AssetCheckResult(
        passed=full >= minimum and seen == 0,
        description=f"{full:.1%} of the users have a full list, at least {minimum:.0%} is asked for "
        f"(MOVIEREC_MIN_FULL_LISTS); {seen} listed movies are in the user's history.",
        metadata={"full_lists": full, "seen_items": seen, "least": minimum},
    )


@asset_check(asset="model_evaluation")
def better_than_popularity(context: AssetCheckExecutionContext, model_evaluation: pd.DataFrame) -> AssetCheckResult:
    """The challenger's NDCG@10 is above popularity's for the same users, beyond chance."""
    of = {ranker: frame[HEADLINE].to_numpy() for ranker, frame in model_evaluation.groupby("ranker")}
    difference = report_progress(
        context.log,
        "Comparing with popularity",
        lambda _: paired_difference(of[MODEL], of[POPULARITY]),
    )
    return AssetCheckResult(
        passed=difference.low > 0,
        severity=AssetCheckSeverity.WARN,
        description=f"NDCG@10 is {difference.mean:+.4f} against popularity's, "
        f"95 % {difference.low:+.4f} to {difference.high:+.4f}",
        metadata={"difference": difference.mean, "low": difference.low, "high": difference.high},
    )


@asset_check(asset="model_evaluation")
def signal_does_no_harm(model_evaluation: pd.DataFrame) -> AssetCheckResult:
    """The next-movie signal does not lower the challenger's NDCG@10 in the sitting beyond chance."""
    of = {ranker: frame[HEADLINE].to_numpy() for ranker, frame in model_evaluation.groupby("ranker")}
    if WITHOUT_SIGNAL not in of:
        return AssetCheckResult(passed=True, description="The recipe was not scored without a signal.")
    difference = paired_difference(of[MODEL], of[WITHOUT_SIGNAL])
    harm = difference.high < 0
    remedy = " A search (job `search`) switches the signal off where it does not help." if harm else ""
    return AssetCheckResult(
        passed=not harm,
        severity=AssetCheckSeverity.WARN,
        description=f"The signal changes NDCG@10 in the sitting by {difference.signed}.{remedy}",
        metadata={"difference": difference.mean, "low": difference.low, "high": difference.high},
    )
