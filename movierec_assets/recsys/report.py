"""An evaluation as people read it, and tables in Markdown.

Belongs here: the Markdown of a report, and the one function that lays out a table for all rooms. Does not: the numbers
(`evaluation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from movierec_assets.recsys.both_moments import MomentScores
from movierec_assets.recsys.evaluation import HEADLINE, WITH_INTERVALS, Evaluation, with_intervals
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.rankers import POPULARITY
from movierec_assets.recsys.split import ProtocolName

_ROWS = (
    ("Precision", "precision"),
    ("Recall", "recall"),
    ("Recall, truncated", "truncated_recall"),
    ("MAP", "map"),
    ("NDCG", "ndcg"),
    ("Hit rate", "hit_rate"),
    ("Coverage", "coverage"),
    ("Gini coefficient of the listings", "gini"),
    ("Novelty, bits", "novelty"),
    ("Share of the top 1 % of movies", "popularity_share"),
)

_LABELS = {name: label for label, name in _ROWS}

_TITLES: dict[ProtocolName, str] = {
    "leave-latest-out": "In the sitting, by leave-latest-out",
    "time-split": "On return, by time-split",
    "strong-generalization": "Users unknown to the fit, by strong generalization",
}

_HELD_OUT: dict[ProtocolName, str] = {
    "leave-latest-out": "Each of {users:,} users' latest likes ({held_out:,} in all) were held out; "
    "lists hold no earlier like.",
    "time-split": "{users:,} users came back in {windows:,} windows of time, which makes {rows:,} user-windows. Their "
    "likes of these windows ({held_out:,} in all) were held out; for a window, nothing as late as its start is known.",
    "strong-generalization": "{users:,} users that no ranker was fitted on; a part of each one's likes "
    "({held_out:,} in all) was held out, the rest folded in.",
}


def as_markdown(
    evaluations: Sequence[Evaluation],
    *,
    users: int,
    held_out: int,
    protocol: ProtocolName = "leave-latest-out",
    cutoffs: Sequence[int] = CUTOFFS,
    headlines: Sequence[str] = WITH_INTERVALS,
    moments: Sequence[MomentScores] = (),
    windows: int = 0,
    notes: Sequence[str] = (),
) -> str:
    """Tables with one column for each ranker: means with intervals, all metrics, and slices where there are any.

    With scores at both moments, the first table shows these, with one row for each ranker.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Of the same users and held-out positives.
    users, held_out : int
        Different evaluated users, and their held-out positives.
    protocol : {"leave-latest-out", "time-split", "strong-generalization"}
    cutoffs : sequence of int
        Those of the evaluations to show.
    headlines : sequence of str
        Metrics to show with their intervals.
    moments : sequence of MomentScores
        Scores in the sitting and on return.
    windows : int
        Number of windows of a time split.
    notes : sequence of str
        Sentences to show below the first table.
    """
    evaluations = with_intervals(evaluations, headlines)
    rankers = [evaluation.ranker for evaluation in evaluations]
    means = [evaluation.means() for evaluation in evaluations]
    scored = len(evaluations[0].per_user[HEADLINE])
    lines = ["# Evaluation"]
    if moments:
        lines += both_moments(moments)
    for note in notes:
        lines += ["", note]
    if moments:
        lines += ["", f"## {_TITLES[protocol]}"]
    lines += ["", _HELD_OUT[protocol].format(users=users, held_out=held_out, windows=windows, rows=scored)]
    rows = ([_label(name), *(str(each.interval(name)) for each in evaluations)] for name in headlines)
    lines += ["", markdown_table(["mean, 95 % interval", *rankers], rows)]
    for k in cutoffs:
        rows = ([label, *(f"{values[f'{name}_at_{k}']:.4f}" for values in means)] for label, name in _ROWS)
        lines += ["", markdown_table([f"at {k}", *rankers], rows)]
    lines += _slices(evaluations, "user-windows" if protocol == "time-split" else "users")
    baseline = next((values for ranker, values in zip(rankers, means, strict=True) if ranker == POPULARITY), None)
    if baseline and baseline[HEADLINE] > 0:
        lines += ["", f"{rankers[0]} reaches {means[0][HEADLINE] / baseline[HEADLINE]:.2f} times popularity's NDCG@10."]
    return "\n".join(lines) + "\n"


def both_moments(moments: Sequence[MomentScores]) -> list[str]:
    """A table of NDCG@10 with a row for each ranker and a column for each moment, and the sentences that explain it."""
    rankers = dict.fromkeys(ranker for moment in moments for ranker in moment.ndcg)
    rows = ([name, *(str(each.intervals.get(name, "")) for each in moments)] for name in rankers)
    lines = ["", markdown_table(["NDCG@10, mean and 95 % interval", *(each.name for each in moments)], rows)]
    for each in moments:
        lines += ["", _moment(each)]
    if gains := [f"{each.signal_gain.signed} {each.name}" for each in moments if each.signal_gain is not None]:
        lines += ["", f"The next-movie signal changes NDCG@10 by {', and by '.join(gains)}."]
    return lines


def _moment(moment: MomentScores) -> str:
    """A sentence on who was scored, and on what."""
    if moment.windows is None:
        return f"In the sitting: the latest likes of {moment.n_users:,} users, from all their earlier ones."
    sample = "" if moment.sampled_from is None else f", from a sample of {moment.sampled_from:,} users,"
    return (
        f"On return: what {moment.n_users:,} users{sample} liked in {moment.windows:,} windows of time "
        f"({len(moment.users):,} user-windows), from what was known before each window."
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, align_right: bool = False) -> str:
    """A table in Markdown; pipes and line breaks in cells are escaped, columns after the first may align right."""
    rule = ["---", *["---:" if align_right else "---"] * (len(header) - 1)]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (header, rule, *rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _slices(evaluations: Sequence[Evaluation], unit: str) -> list[str]:
    """A table for each way to slice and metric, over the rankers that were sliced; `unit` is what is counted."""
    sliced = [evaluation for evaluation in evaluations if evaluation.slices]
    rankers = [evaluation.ranker for evaluation in sliced]
    same = list(zip(*(evaluation.slices for evaluation in sliced), strict=True))
    lines = []
    for by in dict.fromkeys(each[0].by for each in same):
        for name in WITH_INTERVALS:
            rows = (
                [f"{each[0].name} ({each[0].users:,} {unit})", *(str(part.interval(name)) for part in each)]
                for each in same
                if each[0].by == by
            )
            lines += ["", markdown_table([f"{_label(name)} by {by}", *rankers], rows)]
    return lines


def _label(name: str) -> str:
    """NDCG@10 for ndcg_at_10, Recall, truncated@20 for truncated_recall_at_20."""
    metric, _, k = name.partition("_at_")
    return f"{_LABELS[metric]}@{k}"
