"""Examples of fields that mean the same in every body that has them.

Belongs here: values by the name of a field, or of a body and its field. Does not: examples of one field beside its
description (the bodies), and making a value from a schema (`examples`).
"""

from __future__ import annotations

from typing import Any

_RUN = "3f2b7c1e-6a54-4d0f-9c3e-0a1b2c3d4e5f"
_DAY = "2026-05-04T12:30:00Z"
_SECONDS = 1_777_897_800.0
_RATED = {"movie_id": 318, "rating": 4.5, "rated_at": _DAY}
_RECOMMENDED = {"rank": 1, "movie_id": 318, "score": 0.61, "model_version": 7}
_RECIPE = {"factors": 64, "alpha": 5.0, "regularization": 10.0}

EXAMPLES: dict[str, Any] = {
    "Decision.reason": "ndcg at 10 is 0.068 instead of 0.064 in the sitting, beyond chance.",
    "VersionState.reason": "ndcg at 10 is 0.068 instead of 0.064 in the sitting, beyond chance.",
    "AlertState.reason": "The job refresh failed: raw_ratings: ratings.csv has no column userId.",
    "AlertState.remedy": "Repair the file; the next refresh loads it.",
    "AlertState.step": "raw_ratings",
    "AlertState.not_delivered": {},
    "ExportedUser.ratings": [_RATED],
    "ExportedUser.rejected_ratings": [],
    "ExportedUser.recommendations": [_RECOMMENDED],
    "ExportedUser.shown": [{"recommendation_id": "01a21c3c-7d64-79c6-80e2-c41d218abfac", "movie_ids": [318]}],
    "ExportedUser.events": [{"movie_id": 318, "position": 1, "kind": "click"}],
    "ExportedUser.keys": [{"key_id": "5f3a1c9e7a41", "role": "reader", "label": "phone"}],
    "ExportedUser.requests": [{"key": "5f3a1c9e-7a41-4a0c-9d0e-0f6f2f9b6c11", "made_at": _DAY}],
    "InTheApp.ratings": 120,
    "FoundMovies.total": 18,
    "DiskState.total": 500_000_000_000,
    "DiskState.state": 1_200_000_000,
    "VersionState.created": _DAY,
    "RunState.created": _SECONDS,
    "Served.why_none": None,
    "ServedModel.why_none": None,
    "ExpectedGenres.why_none": None,
    "ServedChampion.problem": "",
    "LatestRun.problem": "",
    "SensorNow.problem": "",
    "address": f"http://localhost:3000/runs/{_RUN}",
    "app_ratings": 120,
    "as_of": _SECONDS,
    "at": _DAY,
    "champion": 7,
    "dagster_run_id": _RUN,
    "daemon_seen": _DAY,
    "databases": 800_000_000,
    "dataset": "ml-latest-small",
    "dataset_id": 1,
    "decided_at": _DAY,
    "decided_by": "API key night shift (5f3a1c9e7a41)",
    "decision_id": 12,
    "dependencies": {"database": {"answers": True, "milliseconds": 0.8, "without": "Lists for liked movies, search."}},
    "eligible_ratings": 25,
    "ended": _SECONDS,
    "failures": ["raw_ratings: ratings.csv has no column userId."],
    "file": "/state/backups/2026-05-04.tar",
    "fold_in_boost": 0.5,
    "fold_in_floor": 0.2,
    "fold_in_tau": 20.0,
    "follows": "Workers serve it within 30 s; the tables follow by a run of `publish`.",
    "free": 250_000_000_000,
    "genres": ["Adventure", "Animation", "Comedy"],
    "held_back": None,
    "imdb_url": "https://www.imdb.com/title/tt0114709/",
    "iterations": 15,
    "kept": 7,
    "latest_app_rating": _DAY,
    "loaded_at": _DAY,
    "made": _DAY,
    "made_at": _DAY,
    "metrics": {"ndcg_at_10": 0.068, "return_ndcg_at_10": 0.069},
    "model_version": 7,
    "movie_id": 1,
    "new_ratings": 42,
    "next_movie_decay": 0.8,
    "next_movie_fade_hours": 24.0,
    "next_movie_in_exponent": 0.5,
    "next_movie_out_exponent": 0.5,
    "next_movie_smoothing": 10.0,
    "next_movie_tau": 3.0,
    "next_movie_weight": 1.0,
    "next_movie_window": 5,
    "next_offset": None,
    "next_tick": _DAY,
    "no_champion": None,
    "note": None,
    "notes": [],
    "numbers": {"ndcg_at_10": 0.068, "champion_ndcg_at_10": 0.064},
    "outcome": "improvement",
    "over_at": None,
    "positive_threshold": 4.0,
    "postgres_free": 250_000_000_000,
    "previous": 6,
    "previous_champion": 6,
    "problems": [],
    "promoted_at": _SECONDS,
    "provenance": {"git_commit": "aae4006"},
    "recipe": _RECIPE,
    "rejected": 3,
    "run_id": _RUN,
    "score": 0.61,
    "seconds": 41.5,
    "seed": 42,
    "served": {"user_recommendations": 7},
    "since": _DAY,
    "size": 90_000_000,
    "source": "/data/ml-latest-small",
    "started": _SECONDS,
    "title": "Toy Story 2 (1999)",
    "tmdb_url": "https://www.themoviedb.org/movie/862",
    "today": 4,
    "told_at": _DAY,
    "trained": _DAY,
    "user_id": 42,
    "users": 9,
    "version": 7,
    "why_fewer": None,
    "why_source": None,
    "without": "Everything works with the last champion.",
    "year": 1999,
    "year_to": 2010,
}
"""By `Body.field`, else by `field`."""


def give_examples(schemas: dict[str, Any]) -> None:
    """Give each field without an example or a default its value here, in place."""
    for name, body in schemas.items():
        for field, part in body.get("properties", {}).items():
            key = next((each for each in (f"{name}.{field}", field) if each in EXAMPLES), None)
            if key is not None and needs_example(part):
                part["examples"] = [EXAMPLES[key]]


def needs_example(part: dict[str, Any]) -> bool:
    """Whether a field of a body has no example, no default, and no parts or choices that show its values."""
    if part.get("default") is not None or {"examples", "example", "const"} & part.keys():
        return False
    return not _speaks(part)


def _speaks(part: dict[str, Any]) -> bool:
    if {"enum", "const", "$ref"} & part.keys() or part.get("type") in ("boolean", "null"):
        return True
    if "anyOf" in part:
        return all(_speaks(each) for each in part["anyOf"])
    return part.get("type") == "array" and "$ref" in part["items"]
