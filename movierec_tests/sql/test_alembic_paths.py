"""Directories of migrations whose path has a percent sign."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config

from movierec_assets.sql.alembic_paths import allow_percent


def test_a_directory_with_a_percent_sign_is_taken_as_it_is_and_an_escaped_one_as_well(tmp_path: Path) -> None:
    directory = tmp_path / "100% é"
    directory.mkdir()
    file = directory / "alembic.ini"
    file.write_text("[alembic]\n[post_write_hooks]\n")
    allow_percent()
    allow_percent()
    for given in (str(directory), str(directory).replace("%", "%%")):
        config = Config(str(file))
        config.set_main_option("script_location", given)
        assert config.get_main_option("script_location") == str(directory)
        assert (config.get_section("post_write_hooks") or {})["here"] == str(directory)
