"""Documents of insights are replaced as a whole, and go when their version goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.insights import read_insight, remove_insights, write_insight


def test_a_document_comes_back_as_it_was_and_the_next_one_takes_its_place(database: Database) -> None:
    assert read_insight(database, "dataset") is None
    document = {"counts": {"ratings": 3}, "title": "L'Été “d'Œdipe” <b>\u202e", "share": 0.1 + 0.2, "none": None}
    write_insight(database, "dataset", document)
    first = read_insight(database, "dataset")
    assert first is not None
    assert (first.name, first.version, first.document) == ("dataset", "", document)
    write_insight(database, "dataset", {"counts": {}})
    second = read_insight(database, "dataset")
    assert second is not None
    assert second.document == {"counts": {}}
    assert second.made_at > first.made_at


def test_each_version_has_its_own_document_and_those_of_gone_versions_are_removed(database: Database) -> None:
    for version in (1, 2, 11):
        write_insight(database, "evaluation", {"of": version}, version)
    write_insight(database, "dataset", {})
    now = datetime.now(UTC)
    assert remove_insights(database, [2], now - timedelta(days=1)) == 0
    assert remove_insights(database, [2], now + timedelta(hours=1)) == 2
    assert database.rows(f"SELECT name, version FROM {SCHEMA}.insights ORDER BY 1, 2") == [
        ("dataset", ""),
        ("evaluation", "2"),
    ]
    found = read_insight(database, "evaluation", 2)
    assert found is not None
    assert found.document == {"of": 2}


def test_a_document_that_json_does_not_know_or_of_the_wrong_kind_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="evaluation is about a version"):
        write_insight(database, "evaluation", {})
    with pytest.raises(ValueError, match="dataset is not about a version"):
        write_insight(database, "dataset", {}, 3)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_insight(database, "dataset", {"mean": float("nan")})
    with pytest.raises(TypeError, match="int64"):
        write_insight(database, "dataset", {"ratings": np.int64(3)})
    assert read_insight(database, "dataset") is None
