"""Versions and model files that nothing needs any more.

Belongs here: which versions stay, and the removal of the others with their files. Does not: when that happens
(`defs.maintenance`), changing the champion (`decisions`).

A version stays while it has an alias, is young, is among the latest champions of its dataset, to which a rollback
returns, or a young or pending decision names it. The MLflow run of a removed version stays, with its figures. The
decisions about it stay in the history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from movierec_assets.models.decision_history import History, Record
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.predecessor import STATE_FILE
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import MODEL_NAME, LearningProblem, Version
from movierec_assets.progress import Log

CHAMPIONS_KEPT = 5
"""Latest champions of each dataset that stay, whatever their age."""
RUN_FILES = ("factors.npz", "id_maps.parquet", STATE_FILE)
"""Large files of a training run; its other files and its figures stay."""


@dataclass(frozen=True)
class Removed:
    """What a removal removed.

    Attributes
    ----------
    versions : list of int
    models, runs : int
        Logged models whose files were removed, and runs whose large files were.
    """

    versions: list[int]
    models: int
    runs: int


def unneeded(
    versions: Sequence[Version],
    aliased: Collection[int],
    history: History,
    decisions: Iterable[Record],
    before: datetime,
) -> list[Version]:
    """Versions that nothing needs, the oldest first.

    Parameters
    ----------
    versions : sequence of Version
        All versions of the registry.
    aliased : collection of int
        Numbers of versions that carry an alias.
    history : History
        Of these versions.
    decisions : iterable of Record
    before : datetime
        Versions and decisions since then are young.
    """
    kept = set(aliased)
    for each in decisions:
        if each.state == "pending" or each.decided_at >= before:
            kept |= {each.version} | ({each.previous} if each.previous is not None else set())
    for dataset_id in {version.learned.dataset_id for version in versions}:
        champions = history.returnable(LearningProblem(dataset_id))
        kept |= {version.number for version in champions[:CHAMPIONS_KEPT]}
    found = [
        version
        for version in versions
        if version.number not in kept and version.created is not None and version.created < before
    ]
    return sorted(found, key=lambda version: version.number)


def remove_unneeded(promotions: Promotions, before: datetime, log: Log) -> Removed:
    """Remove versions that nothing needs, and files of models and runs without a version that are older than a time.

    It may be interrupted at any moment: the next removal goes on.

    Raises
    ------
    RegistryUnavailableError, PromotionBusyError
    """
    registry = promotions.registry
    with registry.reachable():
        removed = _remove_versions(promotions, before, log)
        # Of every registered model: a person may have registered a model of the platform under a name of their own.
        named = registry.client.search_model_versions()
        old_runs = {run.info.run_id: run for run in _runs(registry, before)}
        for run_id in {version.run_id for version in named}:
            old_runs.pop(run_id, None)
        models = _remove_models(
            registry, old_runs, {str(version.source).removeprefix("models:/") for version in named}, log
        )
        runs = sum(_remove_large_files(registry, run) for run in old_runs.values())
    return Removed(removed, models, runs)


def _remove_versions(promotions: Promotions, before: datetime, log: Log) -> list[int]:
    registry = promotions.registry
    with promotions.transaction("maintenance"):  # nobody makes one of them the champion meanwhile
        candidates = unneeded(
            registry.versions(), registry.aliases(), promotions.champions(), promotions.history(), before
        )
        for version in candidates:
            registry.client.delete_model_version(MODEL_NAME, str(version.number))
            log(f"Removed version {version.number} of {MODEL_NAME}")
    return [version.number for version in candidates]


def _remove_models(registry: ModelRegistry, runs: Collection[str], named: Collection[str], log: Log) -> int:
    """Remove the files of models that were logged by some runs and never registered; returns the number of models."""
    removed = 0
    for model in _logged_models(registry):
        if model.source_run_id not in runs or model.model_id in named:
            continue
        if model.model_id in model.artifact_location:
            registry.remove_files(model.artifact_location)
        registry.client.delete_logged_model(model.model_id)
        log(f"Removed the files of model {model.model_id}")
        removed += 1
    return removed


def _remove_large_files(registry: ModelRegistry, run: Any) -> bool:
    """Remove the large files of a run; whether there were any."""
    large = [item.path for item in registry.client.list_artifacts(run.info.run_id) if item.path in RUN_FILES]
    for path in large:
        registry.remove_files(run.info.artifact_uri, path)
    return bool(large)


def _logged_models(registry: ModelRegistry) -> Iterator[Any]:
    token: str | None = None
    experiment = registry.ensure_experiment()
    while True:
        page = registry.client.search_logged_models([experiment], max_results=100, page_token=token)
        yield from list(page)
        token = page.token
        if not token:
            return


def _runs(registry: ModelRegistry, before: datetime) -> Iterator[Any]:
    """Runs of the platform that started before a time; those of a person's own code stay as they are."""
    token: str | None = None
    experiment = registry.ensure_experiment()
    wanted = f"attributes.start_time < {int(before.timestamp() * 1000)} AND tags.dagster_run_id != ''"
    while True:
        page = registry.client.search_runs([experiment], wanted, max_results=500, page_token=token)
        yield from list(page)
        token = page.token
        if not token:
            return
