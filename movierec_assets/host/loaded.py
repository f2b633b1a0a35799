"""Checks that the data a command works on is loaded.

Belongs here: refusals before a run starts. Does not: loading (`tables.loading`).
"""

from __future__ import annotations

from movierec_assets.host import CommandError
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import loaded_dataset


def require_anything_loaded(database: Database, why: str) -> None:
    """Raise CommandError before the first load of ratings; `why` says why they are needed."""
    if database.last_load("ratings") is None:
        raise CommandError(
            f"Nothing is loaded yet, and {why}. `movierec run` loads a dataset, trains and recommends; "
            "`movierec run --job refresh` only loads."
        )


def require_loaded(database: Database, settings: Settings, job: str, dataset: str | None) -> None:
    """Check the ratings for a job that loads none; `dataset` is the one of the command line, if any.

    Raises
    ------
    CommandError
        When no ratings are loaded, or ratings of another dataset.
    """
    # These modules read files and take half a second to import; `recommend` does not need them.
    from movierec_assets.datasets.locate import locate  # noqa: PLC0415
    from movierec_assets.tables.loading import is_loaded  # noqa: PLC0415

    require_anything_loaded(database, f"the job {job} works on loaded ratings")
    if dataset is None:
        return
    located = locate(settings, None)
    if not is_loaded(database, located.files):
        raise CommandError(
            f"The job {job} works on the loaded ratings. They are {loaded_dataset(database)}, and not {located.name} "
            f"as it is in {located.files.source}. Load that first: `movierec run --job refresh --dataset {dataset}`, "
            f"or do everything: `movierec run --dataset {dataset}`."
        )
