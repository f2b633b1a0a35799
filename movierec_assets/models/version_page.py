"""Text for people about a version and a run, on MLflow's pages.

Belongs here: names and descriptions, made of plain values. Does not: writing them to MLflow (`registry`, `tracking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from movierec_assets.recsys.both_moments import IN_THE_SITTING, ON_RETURN
from movierec_assets.recsys.evaluation import BY_ELAPSED, ELAPSED_NAMES, HEADLINE, Slice
from movierec_assets.recsys.rankers import CHAMPION, EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.report import markdown_table
from movierec_assets.tables.known_datasets import DatasetRef

MODEL_DESCRIPTION = (
    "Recommends movies: implicit-feedback ALS, trained on the likes of one dataset. The alias `champion` is the "
    "version that is served; `challenger` is the one that was trained last. The page of each version has its "
    "data, its metrics and the decision about it."
)

HEADLINE_CUTOFF = 10
METRICS = {
    "ndcg": "NDCG",
    "recall": "recall",
    "precision": "precision",
    "map": "MAP",
    "hit_rate": "hit rate",
    "coverage": "coverage",
}
"""Headings of the metrics for people, the headline first."""
PREFIXES = {
    MODEL: "",
    WITHOUT_SIGNAL: "without_signal_",
    CHAMPION: "champion_",
    POPULARITY: "popularity_",
    ORIGINAL: "original_",
    ITEM_KNN: "item_knn_",
    EASE: "ease_",
}
"""Prefix of the names of a ranker's metrics."""
RETURN = "return_"
"""Beginning, after the ranker's prefix, of the names of figures for people who come back."""
MOMENTS = {"": IN_THE_SITTING, RETURN: ON_RETURN}
"""The moments that recommendations are scored for, by the beginning of the names of their figures."""
_ELAPSED = {f"elapsed_{name.replace(' ', '_')}_": name for name in ELAPSED_NAMES}
"""Slices by the time since the like before, by the beginning, after the ranker's prefix, of the names of figures."""
ELAPSED_TITLE = f"NDCG@10 {IN_THE_SITTING}, by the {BY_ELAPSED}"
_FOR_PEOPLE = {MODEL: "this version", CHAMPION: "champion then"}
RANKERS = {prefix: _FOR_PEOPLE.get(ranker, ranker) for ranker, prefix in PREFIXES.items()}
"""Rankers for people, by prefix."""
_BESIDE_THE_HEADLINE = ("popularity_", "champion_", "original_", "without_signal_")
_COUNTS = {"positives": "likes", "users": "users", "movies": "movies"}


def recipe_line(recipe: Recipe) -> str:
    """The recipe on one line, without its seed and the fold-in; `next` is the weight of the next-movie signal."""
    found = f"factors={recipe.factors} alpha={recipe.alpha:g} reg={recipe.regularization:g} iter={recipe.iterations}"
    found += "" if recipe.confidence == "binary" else f" confidence={recipe.confidence}"
    return f"als {found}" + (f" next={recipe.next_movie.weight:g}" if recipe.next_movie.on else "")


def run_name(action: str, dataset: DatasetRef | None, details: str) -> str:
    """Name of an MLflow run: its action, dataset and details."""
    return f"{action} {dataset.name}: {details}" if dataset else f"{action}: {details}"


def description(made: Mapping[str, str], recipe: Recipe | None, trained_on: str, metrics: Mapping[str, float]) -> str:
    """Description of a version in Markdown: the headline, data, recipe, decision, and all figures.

    MLflow shows no metrics on the page of a version, and the first words of the description in the list of versions.

    Parameters
    ----------
    made : mapping of str
        Provenance of the version.
    recipe : Recipe or None
        None where it was not recorded.
    trained_on : str
        Its dataset and definition of a like.
    metrics : mapping of str to float
        Of its run; names of other rankers' metrics have a prefix of RANKERS.
    """
    found = [f"{moment} {text}" for moment, text in figures(metrics).items()]
    parts = [f"NDCG@10 {'; '.join(found)}"] if found else []
    if trained_on:
        counted = all(name in made for name in ("positives", "users", "movies"))
        counts = (f"{int(made[name]):,} {noun}" for name, noun in _COUNTS.items()) if counted else ()
        parts.append(f"**Data** {': '.join([trained_on, *([', '.join(counts)] if counted else [])])}")
    if recipe is not None:
        source = f" ({made['recipe_source']})" if "recipe_source" in made else ""
        start = f"; {made['start']}" if "start" in made else ""
        parts.append(f"**Recipe** {recipe_line(recipe)} seed={recipe.seed}{source}{start}")
    if made.get("promotion_outcome"):
        parts.append(f"**Decision** {made['promotion_outcome']}: {made.get('promotion_reason', '')}")
    tables = [_table(metrics, beginning, moment) for beginning, moment in MOMENTS.items()]
    tables.append(_elapsed_table(metrics))
    return "\n\n".join([*parts, *(each for each in tables if each)])


def figures(metrics: Mapping[str, float]) -> dict[str, str]:
    """NDCG@10 in each moment that was scored: with its interval, and that of other rankers for the same users."""
    return {
        moment: _figures(metrics, beginning)
        for beginning, moment in MOMENTS.items()
        if f"{beginning}{HEADLINE}" in metrics
    }


def _figures(metrics: Mapping[str, float], beginning: str) -> str:
    name = f"{beginning}{HEADLINE}"
    own = f"{metrics[name]:.4f}"
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    if low is not None and high is not None:
        own += f" (95 % {low:.4f} to {high:.4f})"
    others = [
        f"{RANKERS[prefix]} {metrics[f'{prefix}{name}']:.4f}"
        for prefix in _BESIDE_THE_HEADLINE
        if f"{prefix}{name}" in metrics
    ]
    return ", ".join([own, *others])


def ranker_rows(
    metrics: Mapping[str, float], k: int, beginning: str = ""
) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """Figures of all rankers for lists of one length, in one of MOMENTS.

    Returns
    -------
    headings : list of str
        Metrics that the first ranker, the version itself, has.
    rows : list of (str, list of float or None)
        Name and figures of each ranker that has any.
    """
    names = [name for name in METRICS if f"{beginning}{name}_at_{k}" in metrics]
    rows = [
        (ranker, [metrics.get(f"{prefix}{beginning}{name}_at_{k}") for name in names])
        for prefix, ranker in RANKERS.items()
    ]
    return [f"{METRICS[name]}@{k}" for name in names], [row for row in rows if any(each is not None for each in row[1])]


def elapsed_figures(slices: Iterable[Slice], *, users: bool) -> dict[str, float]:
    """NDCG@10 of a ranker by the time since the like before, named as on a run; with numbers of users on request."""
    beginnings = {name: beginning for beginning, name in _ELAPSED.items()}
    found: dict[str, float] = {}
    for part in slices:
        if part.by == BY_ELAPSED:
            beginning = beginnings[part.name]
            found[f"{beginning}{HEADLINE}"] = float(part.per_user[HEADLINE].mean())
            found |= {f"{beginning}users": float(part.users)} if users else {}
    return found


def is_elapsed_figure(name: str) -> bool:
    """Whether a figure has a name of `elapsed_figures`."""
    return name.startswith(tuple(_ELAPSED))


def elapsed_rows(metrics: Mapping[str, float]) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """NDCG@10 of all rankers in the sitting by the time since the like before, from the names of `elapsed_figures`.

    Returns
    -------
    headings : list of str
        Slices that the version itself has, with their numbers of users.
    rows : list of (str, list of float or None)
        Name and figures of each ranker that has any.
    """
    own = [beginning for beginning in _ELAPSED if f"{beginning}{HEADLINE}" in metrics]
    counts = {each: metrics.get(f"{each}users") for each in own}
    headings = [_ELAPSED[each] + ("" if n is None else f", {n:,.0f} users") for each, n in counts.items()]
    rows = [
        (ranker, [metrics.get(f"{prefix}{beginning}{HEADLINE}") for beginning in own])
        for prefix, ranker in RANKERS.items()
    ]
    return headings, [row for row in rows if any(each is not None for each in row[1])]


def _elapsed_table(metrics: Mapping[str, float]) -> str:
    """Figures of `elapsed_rows`; empty where there are none."""
    headings, rows = elapsed_rows(metrics)
    return _markdown([ELAPSED_TITLE, *headings], rows) if headings else ""


def _table(metrics: Mapping[str, float], beginning: str, moment: str) -> str:
    """Figures of all rankers in one moment; empty where it was not scored."""
    if f"{beginning}{HEADLINE}" not in metrics:
        return ""
    headings, rows = ranker_rows(metrics, HEADLINE_CUTOFF, beginning)
    return _markdown([moment, *headings], rows)


def _markdown(header: list[str], rows: Iterable[tuple[str, list[float | None]]]) -> str:
    return markdown_table(
        header, ([ranker, *("" if each is None else f"{each:.4f}" for each in values)] for ranker, values in rows)
    )
