"""The pages: what they link to and name exists, and they name everything there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from movierec_assets.cli.root import cli
from movierec_assets.recsys.native.library import SWITCH as NATIVE_SWITCH
from movierec_assets.settings import DAGSTER_FILES_VARIABLE, DAGSTER_URL_VARIABLE, PROJECT_ROOT, Settings
from movierec_tests.test_house import FLOORS, PACKAGE

DOCS = PACKAGE / "docs"
TESTS = Path(__file__).parent
PAGES = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "data" / "README.md", *sorted(DOCS.glob("*.md"))]
INTERNAL = {"MOVIEREC_EMBEDDED_DATABASE_URL", DAGSTER_URL_VARIABLE, DAGSTER_FILES_VARIABLE, NATIVE_SWITCH}
"""Variables that `movierec` sets for the processes it starts."""
PICTURE_BYTES = 150_000

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path) -> Iterator[str]:
    """Code spans, which may go over a line end, and lines of code blocks; table cells write | as \\|."""
    text = read(page).replace("\\|", "|")
    yield from (line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.splitlines())
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    yield from re.findall(r"^    (\S.*)$", text, re.M)
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))


def first_cells(text: str) -> list[str]:
    """The first cell of each row of tables, where it is one code span."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.M)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", read(page), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_and_picture_exists(page: Path) -> None:
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", read(page)) if not t.startswith(("http://", "https://"))]
    for target in targets:
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def wrong_command(words: list[str]) -> str | None:
    """What the `movierec` command does not have of these words behind its name; None when it has all."""
    commands: list[click.Command] = [cli]
    while words and all(isinstance(command, click.Group) for command in commands):
        found = [command.commands.get(name) for command in commands for name in words[0].split("|")]  # type: ignore[attr-defined]
        if None in found:
            return words[0]
        commands, words = [command for command in found if command], words[1:]
    options = {option for command in commands for param in command.params for option in param.opts} | {"--help"}
    named = [option for word in words for option in re.findall(r"--[a-z-]+", word)]
    return next((option for option in named if option not in options), None)


@every_page
def test_every_command_and_make_target_exists(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", read(PROJECT_ROOT / "Makefile"), re.M)
    for code in code_of(page):
        for command in re.findall(r"(?<!\S)(?:\.venv/bin/)?movierec ([^#)]*)", code):
            assert wrong_command(command.split()) is None, code
        for target in re.findall(r"(?<!\S)make ([a-z]+)", code):
            assert target in targets, code


@every_page
def test_every_module_test_and_setting_that_is_named_exists(page: Path) -> None:
    for code in code_of(page):
        if re.fullmatch(r"[\w.]+(/[\w.]+)*\.py", code) or re.fullmatch(r"(\w+/)+", code):
            assert (PACKAGE / code).exists() or (PROJECT_ROOT / code).exists(), code
        if re.fullmatch(r"\w+/test_\w+", code):
            assert (TESTS / f"{code}.py").exists(), code
        if module := re.fullmatch(r"python -m (movierec_\S+)", code):
            stem = PROJECT_ROOT.joinpath(*module[1].split("."))
            assert stem.is_dir() or stem.with_suffix(".py").exists(), code
        named = set(re.findall(r"\bMOVIEREC_[A-Z_]+", code))
        assert named <= {f"MOVIEREC_{name.upper()}" for name in Settings.model_fields} | INTERNAL, code


def test_the_page_of_settings_has_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(MOVIEREC_\w+)` \| (.*) \|$", read(DOCS / "settings.md"), re.M))
    fields = {f"MOVIEREC_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert rows.keys() == fields.keys() - INTERNAL
    for name, row in rows.items():
        default = fields[name].default
        if isinstance(default, bool | str) or type(default) in (int, float):
            assert row.endswith(f"[{str(default).lower() if isinstance(default, bool) else default}]"), name


def test_the_page_of_the_api_has_every_endpoint() -> None:
    table = read(DOCS / "api.md").split("## Endpoints")[1].split("\n\n#")[0]
    named, verb = set[tuple[str, str]](), ""
    for row in re.findall(r"^\| (`.*?`) \|", table, re.M):
        for call in re.findall(r"`([^`]+)`", row):
            verb, path = call.split(" ") if " " in call else (verb, call)
            named.add((verb, path.partition("?")[0]))
    schema = json.loads(read(TESTS / "serving" / "api" / "openapi.json"))
    assert named == {(verb.upper(), path) for path, calls in schema["paths"].items() for verb in calls}


def test_the_page_of_tables_has_every_table_and_view_of_the_schema() -> None:
    steps = (PACKAGE / "sql" / "migrations" / "versions").glob("*.*")
    made = re.compile(r"CREATE (?:OR REPLACE )?(?:MATERIALIZED )?(?:TABLE|VIEW) (?:IF NOT EXISTS )?movierec\.(\w+)")
    found = [name for step in steps if step.suffix in (".sql", ".py") for name in made.findall(read(step))]
    assert set(found) == set(first_cells(read(DOCS / "tables.md")))


def test_the_page_of_architecture_draws_the_rooms_and_floors_that_are_guarded() -> None:
    text = read(DOCS / "architecture.md")
    drawn = re.search(r"^```\n(.*?)^```", text, re.M | re.S)
    assert drawn
    assert tuple(set(line.split()) for line in drawn[1].splitlines()) == FLOORS
    rooms = text.split("| room |")[1].split("\n\n")[0]
    assert set(first_cells(rooms)) == set().union(*FLOORS)


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = read(PROJECT_ROOT / "README.md")
    assert len(text.splitlines()) <= 150
    assert {page.name for page in DOCS.glob("*.md")} <= {
        Path(target).name for target in re.findall(r"\]\(([^)]+)\)", text)
    }


def test_every_picture_is_shown_and_small() -> None:
    shown = {Path(target).name for page in PAGES for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", read(page))}
    pictures = {path.name: path.stat().st_size for path in DOCS.iterdir() if path.suffix in (".svg", ".png")}
    assert pictures.keys() <= shown
    assert max(pictures.values()) <= PICTURE_BYTES
