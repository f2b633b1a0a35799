"""`movierec model`: its output, the changes it makes, and its errors."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from click.testing import CliRunner, Result

from movierec_assets.cli.root import cli, main
from movierec_assets.models.errors import NoChampionError, NoSuchVersionError, PromotionError, RegistryUnavailableError
from movierec_assets.models.version import PROVENANCE
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import load_as, lose_champion, probes_of, promotions_of, register, reset


@dataclass(frozen=True)
class Command:
    """The command line on a platform with two versions, the first of which is champion."""

    platform: Platform
    first: int
    second: int

    def __call__(self, *arguments: object, answer: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["model", *map(str, arguments)], input=answer)

    def champion(self) -> int:
        return self.platform.champion().number


@pytest.fixture
def model(platform: Platform) -> Command:
    first, second = (register(platform, seed=seed, ndcg=ndcg) for seed, ndcg in ((1, 0.1), (2, 0.1234)))
    promotions_of(platform).promote(first, "the first one", "me")
    return Command(platform, first, second)


def test_list_shows_aliases_figures_and_decisions_newest_first(model: Command) -> None:
    found = json.loads(model("list", "--json").stdout)
    assert [each["version"] for each in found] == [model.second, model.first]
    assert found[1]["aliases"] == ["champion"]
    assert (found[1]["outcome"], found[1]["reason"]) == ("manual", "the first one")
    assert found[0]["metrics"]["ndcg_at_10"] == pytest.approx(0.1234)
    table = model("list").output
    assert "champion" in table
    assert "0.1234" in table


def test_a_short_list_still_shows_the_champion(model: Command) -> None:
    register(model.platform)
    found = json.loads(model("list", "-n", 1, "--json").stdout)
    assert [each["version"] for each in found] == [model.second + 1, model.first]


def test_show_is_about_the_champion_unless_a_version_is_given(model: Command) -> None:
    shown = json.loads(model("show", "--json").stdout)
    assert shown["version"] == model.first
    assert shown["recipe"]["factors"] == 4
    assert shown["provenance"]["positives_fingerprint"] == "1" * 8
    assert [decision["reason"] for decision in shown["decisions"]] == ["the first one"]
    text = model("show", model.second).output
    assert f"Version {model.second}" in text
    assert "regularization" in text
    assert "Decisions" not in text


def test_compare_shows_two_versions_side_by_side(model: Command) -> None:
    text = model("compare", model.first, model.second).output
    for part in ("Lists of 10", "Recipe", "Provenance", "+0.0234", "11111111", "22222222"):
        assert part in text
    left, right = json.loads(model("compare", model.first, model.second, "--json").stdout)
    assert (left["recipe"]["seed"], right["recipe"]["seed"]) == (1, 2)


def test_figures_are_a_row_for_each_ranker_with_the_headline_first(model: Command) -> None:
    registry = model.platform.registry
    version = registry.version(model.second)
    found = {f"{name}_at_{k}": k / 1000 for name in ("recall", "gini", "coverage") for k in (5, 10, 20)}
    found |= {"ndcg_at_10_low": 0.1, "ndcg_at_10_high": 0.15, "training_loss": 0.5}
    found |= {"popularity_ndcg_at_10": 0.05, "popularity_gini_at_20": 0.99, "original_ndcg_at_10": 0.07}
    found |= {"champion_ndcg_at_10": 0.12, "return_ndcg_at_10": 0.09, "popularity_return_ndcg_at_10": 0.06}
    found |= {"elapsed_under_a_minute_ndcg_at_10": 0.2, "elapsed_under_a_minute_users": 1234.0}
    found |= {"elapsed_a_day_or_more_ndcg_at_10": 0.04, "popularity_elapsed_under_a_minute_ndcg_at_10": 0.03}
    registry.log_metrics(version, found, ())
    shown = model("show", model.second).stdout
    _, headline, on_return, *_ = shown.splitlines()
    assert headline == (
        "NDCG@10 in the sitting 0.1234 (95 % 0.1000 to 0.1500), popularity 0.0500, champion then 0.1200, "
        "original recipe 0.0700"
    )
    assert on_return == "NDCG@10 on return 0.0900, popularity 0.0600"
    rows = [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in shown.splitlines()]
    ten, returned, five, twenty, elapsed = [at for at, row in enumerate(rows) if row[0] == "ranker"]
    assert rows[ten] == ["ranker", "NDCG@10", "recall@10", "coverage@10"]
    assert rows[ten + 2 : ten + 6] == [
        ["this version", "0.1234", "0.0100", "0.0100"],
        ["champion then", "0.1200", "", ""],
        ["popularity", "0.0500", "", ""],
        ["original recipe", "0.0700", "", ""],
    ]
    assert rows[returned] == ["ranker", "NDCG@10"]
    assert rows[returned + 2 : returned + 4] == [["this version", "0.0900"], ["popularity", "0.0600"]]
    assert (rows[five][1], rows[twenty][-1]) == ("recall@5", "coverage@20")
    assert "NDCG@10 in the sitting, by the time since the like before" in shown
    assert rows[elapsed] == ["ranker", "under a minute, 1,234 users", "a day or more"]
    assert rows[elapsed + 2 : elapsed + 4] == [["this version", "0.2000", "0.0400"], ["popularity", "0.0300", ""]]
    assert "_at_" not in shown
    assert "elapsed_" not in shown
    assert ["training_loss", "0.5000"] in rows
    assert json.loads(model("show", model.second, "--json").stdout)["metrics"] == found | {"ndcg_at_10": 0.1234}
    compared = model("compare", model.first, model.second).stdout
    assert "_at_" not in compared
    assert "elapsed_" not in compared
    assert "coverage@20" in compared


def test_tags_of_earlier_releases_and_packed_ones_are_shown_alike(model: Command) -> None:
    registry = model.platform.registry
    made_from = json.dumps({"ratings": "abc", "positive_threshold": 3.5})
    for name, value in {"git_commit": "1234", "made_from": made_from}.items():
        registry.set_tag(model.first, name, value)
    packed = {"git_commit": "1234", "made_from": json.loads(made_from)}
    registry.set_tag(model.second, PROVENANCE, json.dumps(packed))
    for number in (model.first, model.second):
        assert registry.version(number).positive_threshold == 3.5
        shown = json.loads(model("show", number, "--json").stdout)["provenance"]
        assert (shown["git_commit"], json.loads(shown["made_from"])["ratings"]) == ("1234", "abc")
        assert "positives_fingerprint" in shown
        assert PROVENANCE not in shown
        cells = [[cell.strip() for cell in line.split("│")] for line in model("show", number).output.splitlines()]
        assert ["", "made_from", "ratings: abc", ""] in cells
        assert ["", "", "positive_threshold: 3.5", ""] in cells


def test_promote_asks_for_a_reason_unless_it_is_given(model: Command) -> None:
    asked = model("promote", model.second, "--no-publish", answer="because\n")
    assert asked.exit_code == 0, asked.output
    assert f"Version {model.second} is the champion, instead of {model.first}" in asked.output
    assert "movierec run --job publish" in asked.output
    (record, _) = promotions_of(model.platform).history()
    assert record.reason == "because"
    assert "movierec model promote (" in record.decided_by
    assert model.champion() == model.second


def test_rollback_returns_to_the_previous_champion(model: Command) -> None:
    model("promote", model.second, "--reason", "try it", "--no-publish")
    back = model("rollback", "--reason", "it was worse", "--no-publish")
    assert back.exit_code == 0, back.output
    assert model.champion() == model.first
    assert promotions_of(model.platform).history()[0].outcome == "rollback"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["show", 99], NoSuchVersionError, "has no version 99: the newest are 2, 1"),
        (["compare", 1, 99], NoSuchVersionError, "has no version 99"),
        (["promote", 99, "--reason", "x"], NoSuchVersionError, "has no version 99"),
        (["promote", 1, "--reason", "x"], PromotionError, "champion already"),
        (["rollback", "--reason", "x"], PromotionError, "Nothing to roll back to"),
    ],
)
def test_a_refused_command_explains_itself_and_changes_nothing(
    model: Command, arguments: list[object], error: type[Exception], message: str
) -> None:
    result = model(*arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert model.champion() == model.first


def test_holds_are_listed_shown_and_released(model: Command) -> None:
    assert "Nothing is held back" in model("release").output
    model("promote", model.second, "--reason", "try it", "--no-publish")
    model("release", model.first)
    model("rollback", "--reason", "the lists are bad", "--no-publish")
    listed = model("list").output
    (row,) = (line for line in listed.splitlines() if "held back" in line and "│" in line)
    assert f" {model.second} " in row
    below = " ".join(listed.split("┘")[-1].split())
    assert f"Version {model.second} is held back since 20" in below
    assert "by movierec model rollback (" in below
    assert "): the lists are bad." in below
    assert f"`movierec model release {model.second}`" in below
    assert "is held back since" in model("show", model.second).output
    assert "held back" not in model("show", model.first).output
    found = json.loads(model("list", "--json").stdout)
    assert [(each["held_back"] or {}).get("reason") for each in found] == ["the lists are bad", None]
    assert json.loads(model("show", model.second, "--json").stdout)["held_back"]["model_version"] == model.second

    refused = model("release", model.first).output
    assert f"Version {model.first} is not held back." in refused
    assert f"Version {model.second} is held back" in refused
    released = " ".join(model("release", model.second).output.split())
    assert f"Version {model.second} is no longer held back: training may promote its recipe on its data" in released
    assert "held back" not in model("list").output
    assert isinstance(model("release", 99).exception, NoSuchVersionError)


def test_a_lost_champion_is_reported_with_the_remedy(model: Command) -> None:
    lose_champion(model.platform, "alias", model.first)
    remedy = f"`movierec model promote {model.first}`"
    assert remedy in " ".join(model("list").output.split())
    shown = model("show").exception
    assert isinstance(shown, NoChampionError)
    assert remedy in str(shown)


def test_a_version_of_other_data_is_promoted_only_by_force_and_not_published(model: Command) -> None:
    demo = load_as(model.platform, "demo")
    old = register(model.platform, dataset=demo)
    load_as(model.platform, "other")
    refused = model("promote", old, "--reason", "x").exception
    assert isinstance(refused, PromotionError)
    assert "was trained on demo (dataset 1), and other (dataset 2) is loaded" in str(refused)
    assert "--force" in str(refused)
    forced = model("promote", old, "--reason", "x", "--force")
    assert forced.exit_code == 0, forced.output
    printed = " ".join(forced.output.split())
    assert "was trained on demo (dataset 1), and other (dataset 2) is loaded; its movies are others." in printed
    assert "Its recommendations are not written" in printed
    assert "nothing is served until demo is loaded again (`movierec run --job refresh --dataset ...`" in printed
    assert model.champion() == old
    assert set(promotions_of(model.platform).served().values()) == {None}
    assert model("rollback", "--reason", "x", "--force", "--no-publish").exit_code == 0
    assert model.champion() == model.first


def test_an_empty_registry_is_no_error_in_a_list_and_one_in_show(model: Command) -> None:
    reset(model.platform)
    assert "movierec run" in model("list").stdout
    assert isinstance(model("show").exception, NoChampionError)


def test_with_mlflow_away_every_command_says_so_at_once(model: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for arguments in (
        ["list"],
        ["show"],
        ["compare", 1, 2],
        ["promote", 2, "--reason", "x"],
        ["rollback", "--reason", "x"],
    ):
        with probes_of(9, monkeypatch) as timeouts:
            result = model(*arguments)
        assert isinstance(result.exception, RegistryUnavailableError), arguments
        assert "MLflow does not answer at http://127.0.0.1:9" in str(result.exception)
        assert len(timeouts) == 1
        assert timeouts[0] <= 5
    monkeypatch.delenv("MOVIEREC_MLFLOW_TRACKING_URI")
    assert model.champion() == model.first
    assert len(promotions_of(model.platform).history()) == 1


def test_an_error_is_one_line_and_exit_status_1(
    model: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["movierec", "model", "rollback", "--reason", "x"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "roll back" in line)
    assert line == f"Nothing to roll back to: Version {model.first} is the champion, and there is no earlier one."


@pytest.mark.slow
def test_after_promote_and_rollback_the_tables_carry_the_champion(model: Command) -> None:
    promotions = promotions_of(model.platform)
    for arguments, champion in ((["promote", model.second], model.second), (["rollback"], model.first)):
        done = model(*arguments, "--reason", "try it")
        assert done.exit_code == 0, done.output
        assert f"The recommendations are version {champion}'s" in done.output
        assert set(promotions.served().values()) == {champion}
