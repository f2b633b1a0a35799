"""The request of a run, and the messages of its process. The events themselves are tested with `cli.run_progress`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from dagster import PartitionKeyRange, validate_run_config
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from movierec_assets.definitions import build
from movierec_assets.defs.backtest import MONTHS
from movierec_assets.host import CommandError
from movierec_assets.host.run import request_for, run_process
from movierec_assets.host.run_events import Report
from movierec_assets.host.run_messages import Request, Sender, receive
from movierec_assets.recsys.backtest import Month
from movierec_assets.settings import get_settings


class Heard:
    """A RunListener that keeps its calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **named: self.calls.append((name, *values, *named.values()))


@pytest.mark.parametrize("job", ["everything", "train"])
def test_the_configuration_of_a_retraining_is_one_that_dagster_takes(job: str) -> None:
    assert request_for(job).config == {}
    assert validate_run_config(build().resolve_job_def(job), dict(request_for(job, retrain=True).config))


def test_months_of_a_backtest_are_tags_that_dagster_takes_for_a_range_of_partitions() -> None:
    tags = request_for("backtest", months=(Month(2003, 11), Month(2004, 2))).tags
    asked = PartitionKeyRange(tags[ASSET_PARTITION_RANGE_START_TAG], tags[ASSET_PARTITION_RANGE_END_TAG])
    assert MONTHS.get_partition_keys_in_range(asked) == ["2003-11", "2003-12", "2004-01", "2004-02"]


def test_a_request_is_read_as_it_was_written() -> None:
    request = request_for("train", retrain=True)
    assert Request.read(request.text()) == request


def test_everything_that_a_run_tells_arrives_at_the_other_end() -> None:
    def tell(sender: Sender) -> None:
        sender.warned("Run 1f2e was killed earlier")
        sender.created("7c1d")
        sender.started("als_model")
        sender.logged("als_model", "Fitting “Amélie”\nand more", warning=False)
        sender.materialized("als_model", {"rows": 3, "recipe": {"factors": [8]}, "lineage": object()}, 1.5)
        sender.checked("als_model: factors_are_finite", None, blocking=True)
        sender.failed("model_evaluation")
        report = Report("7c1d", succeeded=False, failures=["model_evaluation: no users"], warnings=["few users"])
        report.metadata["als_model"] = {"rows": 3, "lineage": object()}
        sender.ended(report)

    heard, report = Heard(), Report(log=Path("run.log"))
    _heard_from(tell, heard, report)
    assert heard.calls == [
        ("warned", "Run 1f2e was killed earlier"),
        ("started", "als_model"),
        ("logged", "als_model", "Fitting “Amélie”\nand more", False),
        ("materialized", "als_model", {"rows": 3, "recipe": {"factors": [8]}}, 1.5),
        ("checked", "als_model: factors_are_finite", None, True),
        ("failed", "model_evaluation"),
    ]
    assert report == Report(
        "7c1d", Path("run.log"), False, {"als_model": {"rows": 3}}, ["model_evaluation: no users"], ["few users"]
    )


def test_a_run_that_cannot_start_is_an_error_of_the_command() -> None:
    with pytest.raises(CommandError, match="Postgres does not answer"):
        _heard_from(lambda sender: sender.refused("Postgres does not answer"), Heard(), Report())


def test_a_process_whose_command_was_killed_goes_on_until_its_guard_ends_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Sender(writing).started("als_model")


def test_a_process_that_ends_before_its_run_began_is_reported_with_its_output(tmp_path: Path) -> None:
    settings = get_settings().model_copy(update={"state_dir": tmp_path})
    with run_process("everything", settings) as started:
        started.process.kill()
        with pytest.raises(CommandError, match=r"(?s)Dagster did not start the run.*The whole output is in"):
            started.run(Request("everything"), Heard())
    assert started.log.parent == tmp_path / "logs"


def test_a_process_without_a_request_ends_with_its_command(tmp_path: Path) -> None:
    settings = get_settings().model_copy(update={"state_dir": tmp_path})
    with pytest.raises(RuntimeError, match="no dataset"), run_process("everything", settings) as started:
        raise RuntimeError("no dataset")
    assert started.process.returncode is not None


def _heard_from(tell: Any, listener: Heard, report: Report) -> None:
    reading, writing = os.pipe()
    sender = Sender(writing)
    tell(sender)
    sender.close()
    with os.fdopen(reading, encoding="utf-8") as pipe:
        receive(pipe, listener, report)
