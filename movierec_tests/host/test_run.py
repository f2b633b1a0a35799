"""The command that executes a job. Following its events is tested with the text of `cli.run_progress`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagster import validate_run_config
from dagster._cli.job import job_execute_command

from movierec_assets.definitions import build
from movierec_assets.host import run


@pytest.mark.parametrize("job", ["everything", "train"])
def test_a_retraining_is_a_command_that_dagster_takes(tmp_path: Path, job: str) -> None:
    for retrain in (False, True):
        _, _, _, _, execute, *options = run.command_for(job, "1f2e", tmp_path, retrain=retrain)
        parsed = job_execute_command.make_context(execute, options).params
        assert parsed["job_name"] == job
        (config,) = parsed["config"] or [None]
        assert (config is not None) is retrain
    assert validate_run_config(build().resolve_job_def(job), json.loads(Path(config).read_text()))
