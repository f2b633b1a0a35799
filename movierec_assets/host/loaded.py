"""What is loaded, and whether it is what a command was asked to work on.

Belongs here: refusals before a run starts. Loading is in `tables.loading`.
"""

from __future__ import annotations

from movierec_assets.host import CommandError
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import loaded_dataset


def require_anything_loaded(database: Database, why: str) -> None:
    """Refuse to go on before the first ratings were loaded.

    Raises
    ------
    CommandError
    """
    if database.last_load("ratings") is None:
        raise CommandError(
            f"Nothing is loaded yet, and {why}. `movierec run` loads a dataset, trains and recommends; "
            "`movierec run --job refresh` only loads."
        )


def require_loaded(database: Database, settings: Settings, job: str, dataset: str | None) -> None:
    """Refuse a job that works on loaded ratings when there are none, or others than the dataset that was asked for.

    Parameters
    ----------
    database : Database
    settings : Settings
        Name the dataset where one was asked for.
    job : str
    dataset : str or None
        What was asked for on the command line.

    Raises
    ------
    CommandError
    """
    # What looks into files is needed here only, and takes half a second to import.
    from movierec_assets.resources.configurable import locate  # noqa: PLC0415
    from movierec_assets.tables.loading import is_loaded  # noqa: PLC0415

    require_anything_loaded(database, f"the job {job} works on loaded ratings")
    if dataset is None:
        return
    located = locate(settings, None)
    if not is_loaded(database, located.files):
        raise CommandError(
            f"The job {job} works on what is loaded, which is {loaded_dataset(database)} and not {located.name} as it "
            f"is in {located.files.source}. Load that first: `movierec run --job refresh --dataset {dataset}`, or "
            f"do everything: `movierec run --dataset {dataset}`."
        )
