"""Jobs: which assets a run materializes, for how long, and whether it starts again after a crash.

Belongs here: jobs of assets that schedules, sensors and commands run. Does not: when they run (`automation`), jobs with
a module of their own (`backtest`, `maintenance`, `promotion_jobs`).

Dagster concept: https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

from datetime import timedelta

from dagster import AssetSelection, define_asset_job

from movierec_assets.defs.presentation import FEEDBACK, INGESTION, PREPROCESSING, SERVING, TRAINING
from movierec_assets.defs.run_limits import limits

refresh = define_asset_job(
    "refresh",
    selection=AssetSelection.groups(INGESTION),
    tags=limits(timedelta(hours=2), priority=1),
    description="Load movies and ratings if their files changed, and refresh the eligible users.",
)
_SEARCH = AssetSelection.assets("hyperparameters")
train = define_asset_job(
    "train",
    selection=AssetSelection.groups(PREPROCESSING, TRAINING, SERVING) - _SEARCH,
    tags=limits(timedelta(hours=6)),
    description="Split, fit, evaluate, decide on promotion, and write the recommendations.",
)
everything = define_asset_job(
    "everything",
    selection=AssetSelection.groups(INGESTION, PREPROCESSING, TRAINING, SERVING) - _SEARCH,
    tags=limits(timedelta(hours=8)),
    description="From the files to the recommendations; what `movierec run` runs.",
)
publish = define_asset_job(
    "publish",
    selection=AssetSelection.groups(SERVING) - AssetSelection.assets("trending_movies"),
    tags=limits(timedelta(hours=2)),
    description="Write the lists of the champion; nothing is trained, and trending movies, which no model makes, stay.",
)
search = define_asset_job(
    "search",
    selection=_SEARCH,
    tags=limits(timedelta(hours=12), retries=1, priority=-1),
    description="Search for a better recipe on the matrices at hand; the next training takes the winner.",
)
feedback = define_asset_job(
    "feedback",
    selection=AssetSelection.groups(FEEDBACK),
    tags=limits(timedelta(hours=1)),
    description="Sum up what people did with the lists of the API, and drop days of the log that are too old.",
)
JOBS = [refresh, train, everything, publish, search, feedback]
