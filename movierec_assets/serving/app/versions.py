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


def is_of_other_data(version: Version, loaded: str | None) -> bool:
    """Whether a version learned from another dataset than the loaded one, so that nothing would be served.

    Parameters
    ----------
    version : mapping
    loaded : str or None
        As GET /status names it: "ml-latest-small (dataset 1)". None where nothing is loaded, or it is not known.
    """
    number = version["dataset_id"]
    return bool(loaded and number) and not str(loaded).endswith(f"(dataset {number})")


def dataset_of(version: Version) -> str:
    """Name of the data that a version learned from."""
    return version["dataset"] or "an unknown dataset"


def returned_to(versions: Sequence[Version], loaded: str | None = None) -> int | None:
    """The version that a rollback returns to, as far as the decisions tell; None when there is none.

    As `models.promotion_transaction` finds it: the champion of the loaded data before the present one, else the latest
    one of other data. A promotion adds to the row of champions of its dataset, and a rollback ends it at the version
    that it returned to.

    Parameters
    ----------
    versions : sequence of mapping
    loaded : str or None
        The loaded dataset, as for `is_of_other_data`.
    """
    known, champion = {each["version"]: each for each in versions}, champion_of(versions)
    decisions = {each["decision_id"]: each for version in versions for each in version["decisions"]}
    standing: dict[int | None, list[int]] = {}
    promoted: dict[int, int] = {}
    for at, each in sorted(decisions.items()):
        number = int(each["model_version"])
        if not each["promoted"] or each["state"] != "done" or number not in known:
            continue
        row = standing.setdefault(known[number]["dataset_id"], [])
        if each["outcome"] == "rollback" and number in row:
            del row[row.index(number) + 1 :]
        else:
            row.append(number)
        promoted[number] = at
    now = None if champion is None else champion["version"]
    rows = [[number for number in row if number != now] for row in standing.values()]
    ours = [row[-1] for row in rows if row and not is_of_other_data(known[row[-1]], loaded)]
    others = [row[-1] for row in rows if row and is_of_other_data(known[row[-1]], loaded)]
    return max(ours or others, key=lambda number: promoted[number], default=None)


def _figure(version: Version, name: str) -> str:
    metrics = version["metrics"]
    if name not in metrics:
        return "none"
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return f"{metrics[name]:.4f}" + (f" ({low:.4f} to {high:.4f})" if low is not None and high is not None else "")
