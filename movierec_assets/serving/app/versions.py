"""Versions of the model as an operator compares them.

Belongs here: figures of two versions side by side, differences of recipes, and the version that a rollback returns to.
Does not: the page (`app_pages.operate`), and the rule of promotion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Version = Mapping[str, Any]
"""As GET /models answers it."""

FIGURES = (
    ("NDCG@10, in the sitting", "ndcg_at_10"),
    ("Hit rate@10, in the sitting", "hit_rate_at_10"),
    ("Recall@10, in the sitting", "recall_at_10"),
    ("NDCG@10, on return", "return_ndcg_at_10"),
    ("Hit rate@10, on return", "return_hit_rate_at_10"),
    ("Coverage@10", "coverage_at_10"),
    ("Novelty@10", "novelty_at_10"),
    ("Share of popular films@10", "popularity_share_at_10"),
    ("NDCG@10 of popularity", "popularity_ndcg_at_10"),
)
"""Figures that are compared, with their names in MLflow."""
OUTCOMES = {
    "first": "promoted: the first champion",
    "improvement": "promoted: better",
    "refresh": "promoted: as good, on newer data",
    "returned": "promoted: back with its data",
    "manual": "promoted by hand",
    "rollback": "promoted by a rollback",
    "kept": "not promoted: the champion stays",
    "rejected": "not promoted: refused",
    "lost": "no champion any more",
}
"""What a decision did, in words."""


def champion_of(versions: Sequence[Version]) -> Version | None:
    """The version that carries the alias; None without one."""
    return next((each for each in versions if "champion" in each["aliases"]), None)


def compared(one: Version, other: Version) -> list[dict[str, str]]:
    """A row for each figure that one of two versions has; differences are the other's less the one's."""
    rows = []
    for label, name in FIGURES:
        before, after = one["metrics"].get(name), other["metrics"].get(name)
        if before is None and after is None:
            continue
        difference = "" if before is None or after is None else f"{after - before:+.4f}"
        rows.append(
            {
                "Figure": label,
                f"Version {one['version']}": _figure(one, name),
                f"Version {other['version']}": _figure(other, name),
                "Difference": difference,
            }
        )
    return rows


def recipe_differences(one: Version, other: Version) -> list[str]:
    """As in "factors: 64, then 32"."""
    names = dict.fromkeys([*one["recipe"], *other["recipe"]])
    return [
        f"{name}: {one['recipe'].get(name)}, then {other['recipe'].get(name)}"
        for name in names
        if one["recipe"].get(name) != other["recipe"].get(name)
    ]


def same_data(one: Version, other: Version) -> bool:
    """Whether two versions were trained and scored on the same likes, so that their figures compare."""
    likes = _likes(one)
    return likes is not None and likes == _likes(other)


def why_not_held_back(replaced: Version, promoted: Version) -> str | None:
    """Why a person who promotes a version does not hold back the champion that it replaces; None when it is held back.

    As `models.promotion_transaction` does it.
    """
    ours, others = replaced["dataset_id"], promoted["dataset_id"]
    if ours is not None and others is not None and ours != others:
        return f"it is of other data than version {promoted['version']}"
    if _likes(replaced) is None or not replaced["recipe"]:
        return "its recipe or its likes were not recorded"
    start = {"seed": None}
    if same_data(replaced, promoted) and {**replaced["recipe"], **start} == {**promoted["recipe"], **start}:
        return f"version {promoted['version']} has the same recipe and learned from the same likes"
    return None


def _likes(version: Version) -> str | None:
    """Fingerprint of the likes that a version learned from; None where it was not recorded."""
    found: str | None = version["provenance"].get("positives_fingerprint")
    return found


def returned_to(versions: Sequence[Version]) -> int | None:
    """The version that was champion before the present one, as far as the decisions tell; None when they do not.

    A promotion adds to the row of champions, and a rollback ends it at the version that it returned to.
    """
    decisions = {each["decision_id"]: each for version in versions for each in version["decisions"]}
    standing: list[int] = []
    for _, each in sorted(decisions.items()):
        if not each["promoted"] or each["state"] != "done":
            continue
        number = int(each["model_version"])
        if each["outcome"] == "rollback" and number in standing:
            del standing[standing.index(number) + 1 :]
        elif not standing or standing[-1] != number:
            standing.append(number)
    champion, known = champion_of(versions), {each["version"] for each in versions}
    if champion is None or not standing or standing[-1] != champion["version"]:
        return None
    return next((number for number in reversed(standing[:-1]) if number in known and number != standing[-1]), None)


def _figure(version: Version, name: str) -> str:
    metrics = version["metrics"]
    if name not in metrics:
        return "none"
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return f"{metrics[name]:.4f}" + (f" ({low:.4f} to {high:.4f})" if low is not None and high is not None else "")
