"""The report about the gate: Markdown for people, JSON for programs.

Belongs here: layout. What is measured is in `gate`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from movierec_tests.benchmarks.gate import FOUND, LEADS, Gate

MARKDOWN, JSON = "gate.md", "gate.json"


def write(gate: Gate, directory: Path) -> None:
    """Write `gate.md` and `gate.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / JSON).write_text(as_json(gate) + "\n", encoding="utf-8")
    (directory / MARKDOWN).write_text(as_markdown(gate), encoding="utf-8")


def as_json(gate: Gate) -> str:
    """Everything that was measured, with the smallest lead that is found."""
    values = asdict(gate)
    values["spread"]["beyond"] = gate.spread.beyond
    for shown, power in zip(values["powers"], gate.powers, strict=True):
        shown["smallest"] = power.smallest
    return json.dumps(values, indent=2, ensure_ascii=False)


def as_markdown(gate: Gate) -> str:
    """The report."""
    from_where = "fits of its own" if gate.refit else "fits drawn from those that were made"
    lines = [
        f"# The gate, measured on {gate.dataset}",
        "",
        f"{gate.likes:,} likes to fit on, {gate.scored:,} users scored, NDCG@10 {gate.ndcg:.4f}. A comparison has "
        f"{gate.starts} fits of each recipe. An improvement is a measured lead of at least {gate.margin:.1%} of the "
        "champion's NDCG@10 whose 95 % interval, for other users and other fits, is above 0.",
        "",
        "## False improvements",
        "",
        f"The recipes are equally good. Each repeat has {from_where}.",
        "",
        "| situation | repeats | improvements | by a bootstrap over users alone | mean lead |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {rate.situation} | {rate.repeats} | {rate.improvements} | {rate.by_users_alone} | "
            f"{rate.mean_lead:+.2%} |"
            for rate in gate.rates
        ),
        "",
        "## Power",
        "",
        f"Smallest lead, relative to the champion's NDCG@10, that is found in {FOUND:.0%} of {gate.cases} comparisons "
        f"over {gate.scored:,} users.",
        "",
        "| recipes beside the lead | smallest lead | a lead of 1 % is found | 2 % | 5 % | 10 % |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {power.recipes} | {_share(power.smallest)} | "
            + " | ".join(f"{power.found[planted]:.0%}" for planted in (0.01, 0.02, 0.05, 0.1))
            + " |"
            for power in gate.powers
        ),
        "",
        "## Spread between fits",
        "",
        f"Two fits of one recipe differ by {gate.spread.pair:.2%} of NDCG@10 (standard deviation, {gate.spread.fits} "
        f"fits). {gate.spread.by_users:.2%} is chance of single users, which a mean over users shows by itself; "
        f"{gate.spread.beyond:.2%} is beyond that.",
        "",
    ]
    return "\n".join(lines)


def _share(smallest: float | None) -> str:
    return f"more than {LEADS[-1]:.0%}" if smallest is None else f"{smallest:.2%}"
