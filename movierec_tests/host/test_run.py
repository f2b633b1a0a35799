"""The command that executes a job. Following its events is tested with the text of `cli.run_progress`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagster import PartitionKeyRange, validate_run_config
from dagster._cli.job import job_execute_command
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from movierec_assets.definitions import build
from movierec_assets.defs.backtest import MONTHS
from movierec_assets.host import run
from movierec_assets.recsys.backtest import Month


@pytest.mark.parametrize("job", ["everything", "train"])
def test_a_retraining_is_a_command_that_dagster_takes(tmp_path: Path, job: str) -> None:
    for retrain in (False, True):
        _, _, _, _, execute, *options = run.command_for(job, "1f2e", tmp_path, retrain=retrain)
        parsed = job_execute_command.make_context(execute, options).params
        assert parsed["job_name"] == job
        (config,) = parsed["config"] or [None]
        assert (config is not None) is retrain
    assert validate_run_config(build().resolve_job_def(job), json.loads(Path(config).read_text()))


def test_months_of_a_backtest_are_tags_that_dagster_takes_for_a_range_of_partitions(tmp_path: Path) -> None:
    first, last = Month(2003, 11), Month(2004, 2)
    _, _, _, _, execute, *options = run.command_for("backtest", "1f2e", tmp_path, months=(first, last))
    tags = json.loads(job_execute_command.make_context(execute, options).params["tags"])
    asked = PartitionKeyRange(tags[ASSET_PARTITION_RANGE_START_TAG], tags[ASSET_PARTITION_RANGE_END_TAG])
    assert MONTHS.get_partition_keys_in_range(asked) == ["2003-11", "2003-12", "2004-01", "2004-02"]
