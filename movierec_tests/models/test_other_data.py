"""Champions of several datasets and definitions of a like."""

from __future__ import annotations

import pytest

from movierec_assets.models.errors import (
    PromotionError,
)
from movierec_assets.models.version import MODEL_NAME, LearningProblem
from movierec_assets.tables.known_datasets import DatasetRef
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    BETTER,
    FIRST,
    carry_out,
    champion_of,
    load_again,
    load_as,
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every test has a real MLflow and Postgres


def test_a_version_of_other_data_is_promoted_only_by_force(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    one = register(platform, seed=1, dataset=demo)
    latest = load_as(platform, "ml-latest-small")
    two = register(platform, seed=2, dataset=latest)
    promotions = promotions_of(platform)
    promotions.promote(two, "of the loaded data", "me")
    with pytest.raises(PromotionError) as error:
        promotions.promote(one, "try it", "me")
    assert str(error.value) == (
        "Version 1 was trained on demo (dataset 1), and ml-latest-small (dataset 2) is loaded; its movies are others. "
        "Load demo first (`movierec run --job refresh --dataset ...`, with its name or directory), or use --force: "
        "then the alias moves, the "
        "tables of recommendations stay as they are, and nothing is served until demo is loaded again."
    )
    assert champion_of(platform) == two
    record = promotions.promote(one, "try it", "me", force=True)
    assert record.reason.startswith("try it. Version 1 was trained on demo (dataset 1), and ml-latest-small")
    assert champion_of(platform) == one
    assert promotions.holds() == [], "the champion of other data was not replaced because it is bad"


def test_a_rollback_stays_with_the_loaded_data_and_names_the_versions_it_passed_over(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    one, two = (register(platform, seed=seed, dataset=demo) for seed in (1, 2))
    other = load_as(platform, "other")
    three = register(platform, seed=3, dataset=other)
    for number, decision in ((one, FIRST), (three, FIRST), (two, BETTER)):
        carry_out(platform, number, decision)
    load_again(platform, demo)
    promotions = promotions_of(platform)
    record = promotions.rollback("two is bad", "me")
    assert (record.version, record.reason) == (
        one,
        "two is bad. Passed over: version 3, trained on other (dataset 2).",
    )
    with pytest.raises(PromotionError, match=r"Version 3 was trained on other \(dataset 2\), and demo \(dataset 1\)"):
        promotions.rollback("further", "me")
    assert promotions.rollback("further", "me", force=True).version == three


def test_another_definition_of_a_like_is_allowed_and_noted(platform: Platform) -> None:
    demo = load_as(platform, "demo")
    one = register(platform, dataset=demo, threshold=3.5)
    record = promotions_of(platform).promote(one, "try it", "me")
    assert record.reason == "try it. Version 1 counts 3.5 stars and more as likes; the setting is 4."


def test_the_incumbent_is_of_the_learning_problem(platform: Platform) -> None:
    demo, other = load_as(platform, "demo"), load_as(platform, "other")
    one, two, three = (
        register(platform, seed=seed, dataset=dataset, threshold=4.0)
        for seed, dataset in enumerate((demo, demo, other), start=1)
    )
    for number in (one, two, three):
        carry_out(platform, number, BETTER)
    promotions = promotions_of(platform)

    def incumbent(dataset: DatasetRef, threshold: float) -> int | None:
        found = promotions.incumbent(dataset.id, threshold)
        with promotions.transaction("test") as transaction:
            assert transaction.incumbent(LearningProblem(dataset.id, threshold)).version == found
        return found.number if found else None

    assert incumbent(other, 4.0) == three
    assert incumbent(demo, 4.0) == two
    assert incumbent(demo, 3.0) is None
    platform.registry.client.delete_model_version(MODEL_NAME, str(two))
    assert incumbent(demo, 4.0) == one
