"""Jobs by which a person changes the champion: `promote_version` and `rollback_champion`.

Belongs here: the jobs, their ops and configuration. Does not: how the champion changes (`models.decisions`), writing
the tables of the new champion (`publishing`).

Dagster concept: https://docs.dagster.io/guides/build/ops
"""

import getpass
from datetime import timedelta

from dagster import Config, OpExecutionContext, job, op
from pydantic import Field

from movierec_assets.defs.decision_metadata import champion_event
from movierec_assets.defs.execution import beside_other_runs
from movierec_assets.defs.run_limits import limits
from movierec_assets.models.decisions import Promotions, Record
from movierec_assets.resources.configurable import PostgresResource, RegistryResource


class _ByHand(Config):
    """Configuration of a decision that a person makes."""

    reason: str = Field(min_length=1, description="Why; it is kept with the decision.")
    force: bool = Field(
        default=False,
        description="Accept a version of other data; nothing is published or served until that data is loaded again.",
    )


class Promotion(_ByHand):
    """The version to promote."""

    version: int = Field(gt=0, description="Version of movierec-als that becomes the champion.")


class Rollback(_ByHand):
    """A return to the previous champion."""


@op(description="Makes a version the champion.")
def promote(
    context: OpExecutionContext, config: Promotion, registry: RegistryResource, postgres: PostgresResource
) -> None:
    """Move the alias, store the decision, and add it to the events of champion_model."""
    promotions = Promotions(registry.open(), postgres.open())
    record = promotions.promote(config.version, config.reason, _who(context), context.run_id, force=config.force)
    _report(context, record, promotions)


@op(description="Makes the previous champion the champion again.")
def roll_back(
    context: OpExecutionContext, config: Rollback, registry: RegistryResource, postgres: PostgresResource
) -> None:
    """Move the alias back, store the decision, and add it to the events of champion_model."""
    promotions = Promotions(registry.open(), postgres.open())
    record = promotions.rollback(config.reason, _who(context), context.run_id, force=config.force)
    _report(context, record, promotions)


# Never started again by itself: a second rollback would undo the champion before.
@job(
    tags=limits(timedelta(hours=1), retries=0),
    executor_def=beside_other_runs,
    description="Make a version the champion; the recommendations follow within a minute, by champion_sensor.",
)
def promote_version() -> None:
    """Promote by hand."""
    promote()


@job(
    tags=limits(timedelta(hours=1), retries=0),
    executor_def=beside_other_runs,
    description="Return to the previous champion; the recommendations follow within a minute, by champion_sensor.",
)
def rollback_champion() -> None:
    """Undo the last promotion."""
    roll_back()


def _who(context: OpExecutionContext) -> str:
    return f"job {context.job_name} ({getpass.getuser()})"


def _report(context: OpExecutionContext, record: Record, promotions: Promotions) -> None:
    before = f"instead of {record.previous}" if record.previous else "and the first one"
    other = promotions.other_data(promotions.registry.version(record.version))
    follows = "champion_sensor requests `publish`" if other is None else other.consequence
    context.log.info(f"Version {record.version} is the champion, {before}; {follows}. {record.reason}")
    context.log_event(champion_event(record, promotions))


JOBS = [promote_version, rollback_champion]
