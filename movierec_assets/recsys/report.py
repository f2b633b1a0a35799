"""An evaluation as people read it.

Belongs here: the Markdown of a report. The numbers come from `evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence

from movierec_assets.recsys.evaluation import HEADLINE, Evaluation
from movierec_assets.recsys.metrics import CUTOFFS

_ROWS = (
    ("Precision", "precision"),
    ("Recall", "recall"),
    ("Recall, truncated", "truncated_recall"),
    ("MAP", "map"),
    ("NDCG", "ndcg"),
    ("Hit rate", "hit_rate"),
    ("Catalogue coverage", "coverage"),
    ("Novelty, bits", "novelty"),
    ("Share of the top 1 % of movies", "popularity_share"),
)


def as_markdown(evaluations: Sequence[Evaluation], *, users: int, held_out: int) -> str:
    """Tables of all metrics at all cutoffs, one column for each ranker.

    Parameters
    ----------
    evaluations : sequence of Evaluation
    users, held_out : int
        Evaluated users, and their held-out positives.
    """
    rankers = [evaluation.ranker for evaluation in evaluations]
    means = [evaluation.means() for evaluation in evaluations]
    lines = [
        "# Evaluation",
        "",
        f"Each of {users:,} users' latest likes ({held_out:,} in all) were held out; lists hold no earlier like.",
        "",
        "| " + " | ".join(["NDCG@10", *rankers]) + " |",
        "|" + " --- |" * (len(rankers) + 1),
        "| mean | " + " | ".join(f"{evaluation.interval().mean:.4f}" for evaluation in evaluations) + " |",
        "| 95 % interval | "
        + " | ".join(f"{each.low:.4f} to {each.high:.4f}" for each in (e.interval() for e in evaluations))
        + " |",
    ]
    for k in CUTOFFS:
        lines += ["", f"| at {k} | " + " | ".join(rankers) + " |", "|" + " --- |" * (len(rankers) + 1)]
        for label, name in _ROWS:
            values = " | ".join(f"{values[f'{name}_at_{k}']:.4f}" for values in means)
            lines.append(f"| {label} | {values} |")
    baseline = next((values for ranker, values in zip(rankers, means, strict=True) if ranker == "popularity"), None)
    if baseline and baseline[HEADLINE] > 0:
        lines += ["", f"{rankers[0]} reaches {means[0][HEADLINE] / baseline[HEADLINE]:.2f} times popularity's NDCG@10."]
    return "\n".join(lines) + "\n"
