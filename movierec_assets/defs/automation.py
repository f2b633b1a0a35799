"""Jobs, schedules, and the sensors that end runs whose process was killed.

Belongs here: which assets a job materializes, when it runs, and the end of killed runs. Does not: sensors that request
runs (`catch_up`, `publishing`), jobs of a person (`promotion_jobs`).

Dagster concepts: https://docs.dagster.io/guides/automate/schedules, https://docs.dagster.io/guides/automate/sensors
"""

from dagster import (
    AssetSelection,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunStatusSensorContext,
    RunStatusSensorDefinition,
    ScheduleDefinition,
    SensorEvaluationContext,
    SkipReason,
    define_asset_job,
    run_status_sensor,
    sensor,
)

from movierec_assets.defs.presentation import FEEDBACK, INGESTION, PREPROCESSING, SERVING, TRAINING
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.exclusive import end_dead_runs

refresh = define_asset_job(
    "refresh",
    selection=AssetSelection.groups(INGESTION),
    description="Load movies and ratings if their files changed, and refresh the eligible users.",
)
_SEARCH = AssetSelection.assets("hyperparameters")
train = define_asset_job(
    "train",
    selection=AssetSelection.groups(PREPROCESSING, TRAINING, SERVING) - _SEARCH,
    description="Split, fit, evaluate, decide on promotion, and write the recommendations.",
)
everything = define_asset_job(
    "everything",
    selection=AssetSelection.groups(INGESTION, PREPROCESSING, TRAINING, SERVING) - _SEARCH,
    description="From the files to the recommendations; what `movierec run` runs.",
)
publish = define_asset_job(
    "publish",
    selection=AssetSelection.groups(SERVING),
    description="Write the recommendations of the champion; nothing is trained.",
)
search = define_asset_job(
    "search",
    selection=_SEARCH,
    description="Search for a better recipe on the matrices at hand; the next training takes the winner.",
)
feedback = define_asset_job(
    "feedback",
    selection=AssetSelection.groups(FEEDBACK),
    description="Sum up what people did with the lists of the API, and drop days of the log that are too old.",
)
JOBS = [refresh, train, everything, publish, search, feedback]


def schedules(timezone: str) -> list[ScheduleDefinition]:
    """Refresh every day at 01:55, train at 02:00, as the original's cron lines do; search every Sunday.

    Feedback is summed up before them, so that it does not wait for the training.
    """
    return [
        ScheduleDefinition(
            name=name,
            job=job,
            cron_schedule=cron,
            execution_timezone=timezone,
            default_status=DefaultScheduleStatus.RUNNING,
            description=description,
        )
        for name, job, cron, description in (
            ("daily_feedback", feedback, "30 1 * * *", "Every day at 01:30: what came of the lists of the API."),
            ("daily_refresh", refresh, "55 1 * * *", "Every day at 01:55: the newest ratings into the database."),
            ("daily_train", train, "0 2 * * *", "Every day at 02:00: a new challenger from the newest ratings."),
            ("weekly_search", search, "0 3 * * 0", "Every Sunday at 03:00: a search for a better recipe."),
        )
    ]


def _mlflow_sensor(name: str, ended: DagsterRunStatus, step: str, status: str) -> RunStatusSensorDefinition:
    """The sensor that ends MLflow runs which a step could not end itself."""

    @run_status_sensor(
        name=name,
        run_status=ended,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Ends MLflow runs that a {step} training step left running.",
    )
    def end_mlflow_runs(context: RunStatusSensorContext) -> SkipReason | None:
        registry = RegistryResource().open()
        left = [run for run in registry.runs_of(context.dagster_run.run_id) if registry.end_run(run, status)]
        return SkipReason("Nothing was left running.") if not left else None

    return end_mlflow_runs


unfinished_mlflow_runs = _mlflow_sensor("unfinished_mlflow_runs", DagsterRunStatus.FAILURE, "killed", "FAILED")
canceled_mlflow_runs = _mlflow_sensor("canceled_mlflow_runs", DagsterRunStatus.CANCELED, "canceled", "KILLED")


@sensor(
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed; they would keep the queue waiting for ever.",
)
def dead_runs(context: SensorEvaluationContext, postgres: PostgresResource, registry: RegistryResource) -> SkipReason:
    """Mark a run as failed when its process was killed."""
    ended = end_dead_runs(context.instance, postgres.open(), registry.open())
    return SkipReason(f"Ended {', '.join(ended)}." if ended else "Every run that has started is being executed.")
