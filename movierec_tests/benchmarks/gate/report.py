"""The report on the gate: Markdown for people, JSON for programs.

Belongs here: layout.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from movierec_assets.recsys.report import markdown_table
from movierec_tests.benchmarks.gate.measurement import GateResults
from movierec_tests.benchmarks.gate.power import FOUND, LEADS

MARKDOWN, JSON = "gate.md", "gate.json"


def write(gate: GateResults, directory: Path) -> None:
    """Write `gate.md` and `gate.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / JSON).write_text(as_json(gate) + "\n", encoding="utf-8")
    (directory / MARKDOWN).write_text(as_markdown(gate), encoding="utf-8")


def as_json(gate: GateResults) -> str:
    """All results, with the smallest lead that is found."""
    values = asdict(gate)
    values["spread"]["beyond"] = gate.spread.beyond
    for shown, power in zip(values["powers"], gate.powers, strict=True):
        shown["smallest"] = power.smallest
    return json.dumps(values, indent=2, ensure_ascii=False)


def as_markdown(gate: GateResults) -> str:
    """The report."""
    sections = [
        f"# The gate, measured on {gate.dataset}",
        f"{gate.likes:,} likes to fit on, {gate.scored:,} users scored, NDCG@10 {gate.ndcg:.4f}. A comparison has "
        f"{gate.starts} fits of each recipe. An improvement is a measured lead of at least {gate.margin:.1%} of the "
        "champion's NDCG@10 whose 95 % interval, for other users and other fits, is above 0.",
        "## False improvements",
        "The recipes are equally good. "
        + ("Each repeat makes its own fits." if gate.refit else "Each repeat draws fits from a pool."),
        markdown_table(
            ["situation", "repeats", "improvements", "by a bootstrap over users alone", "mean lead"],
            (
                [
                    rate.situation,
                    f"{rate.repeats}",
                    f"{rate.improvements}",
                    f"{rate.by_users_alone}",
                    f"{rate.mean_lead:+.2%}",
                ]
                for rate in gate.rates
            ),
            align_right=True,
        ),
        "## Power",
        f"Smallest lead, relative to the champion's NDCG@10, that is found in {FOUND:.0%} of {gate.cases} comparisons "
        f"over {gate.scored:,} users.",
        markdown_table(
            ["recipes apart from the lead", "smallest lead", "a lead of 1 % is found", "2 %", "5 %", "10 %"],
            (
                [
                    power.recipes,
                    _share(power.smallest),
                    *(f"{power.found[planted]:.0%}" for planted in (0.01, 0.02, 0.05, 0.1)),
                ]
                for power in gate.powers
            ),
            align_right=True,
        ),
        "## Spread between fits",
        f"Two fits of one recipe differ by {gate.spread.pair:.2%} of NDCG@10 (standard deviation, {gate.spread.fits} "
        f"fits). {gate.spread.by_users:.2%} of it is chance of single users, which is seen in a mean over users; "
        f"{gate.spread.beyond:.2%} is not.",
    ]
    return "\n\n".join(sections) + "\n"


def _share(smallest: float | None) -> str:
    return f"more than {LEADS[-1]:.0%}" if smallest is None else f"{smallest:.2%}"
