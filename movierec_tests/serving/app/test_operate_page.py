"""The page Operate: keys, a champion that is changed in a real registry, jobs and alerts, and the key's secrecy."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.caching.cache_data_api import _data_caches
from streamlit.testing.v1 import AppTest

from movierec_assets.alerts.causes import RUN, Cause
from movierec_assets.alerts.storage import update
from movierec_assets.models.version import MODEL_NAME
from movierec_assets.models.version_details import KnownVersions
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.keys import CHECK_EVERY
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app import operating, session, versions
from movierec_assets.serving.app.app_pages.operate import PART
from movierec_assets.serving.app.asking import _TYPED
from movierec_assets.serving.app.jobs import _LAST_END
from movierec_assets.serving.app.operating import _STATE
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.serving.online.snapshot import NOTHING
from movierec_assets.tables.api_keys import create_key, revoke_key
from movierec_assets.tables.database import Database
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import champion_of, load_as, module_platform, platform, promotions_of, register
from movierec_tests.serving.api.conftest import running, served, worker_with
from movierec_tests.serving.api.small import VERSION
from movierec_tests.serving.app.conftest import NOWHERE, OpenPage, address_of, words
from movierec_tests.serving.app.told import tell_of_versions

__all__ = ["module_platform", "platform"]

ODD = 'Toy "Story" <b>é</b> \u05d0\u05d1 ' + "long " * 55


@dataclass(frozen=True)
class Operated:
    """A platform of two versions behind an API, and an operator's key of it."""

    platform: Platform
    address: str
    key: str

    def read_registry(self) -> None:
        """What the keeper does within seconds."""
        view = RegistryView.of(KnownVersions(promotions_of(self.platform)), time.time())
        view.write(self.platform.settings)


@pytest.fixture
def operated(platform: Platform) -> Iterator[Operated]:
    first, _ = register(platform, seed=1, ndcg=0.1), register(platform, seed=2, ndcg=0.125)
    promotions_of(platform).promote(first, "the first one", "me")
    with served(create_app(platform.settings, running(worker_with(platform.settings, NOTHING)))) as client:
        key = create_key(platform.database, "operator", "night shift")
        found = Operated(platform, str(client.base_url).rstrip("/"), key)
        found.read_registry()
        yield found


def told(page: AppTest) -> str:
    """Everything that a page says, without the marks that keep Markdown from reading it."""
    return words(page).replace("\\", "")


def pressed(page: AppTest, label: str) -> AppTest:
    """The page after its button with a label."""
    (button,) = [each for each in page.button if each.label == label]
    assert not button.disabled, label
    page = button.click().run()
    assert not page.exception
    return page


def with_key(page: AppTest, key: str) -> AppTest:
    page.text_input(key=_TYPED).set_value(key)
    return pressed(page, "Use this key")


def part_of(page: AppTest, name: str) -> AppTest:
    """The page with another part open."""
    page.session_state[PART] = name
    return page.run()


def test_a_key_that_is_none_of_an_operator_is_refused_with_what_to_do(operated: Operated, open_page: OpenPage) -> None:
    page = open_page("operate", at=operated.address)
    reader = create_key(operated.platform.database, "reader", "shop")
    for typed, said in (
        ("", "No key was typed"),
        ("guessed", "does not accept this key"),
        ("movierec\u2013as a chat wrote it", "does not accept this key"),
        (f"{operated.key[:-4]}AAAA", "does not accept this key"),
        (reader, "This key is a reader's"),
    ):
        page = with_key(page, typed)
        assert said in told(page), typed
        assert "movierec keys create NAME --role operator" in told(page)
        assert [each.label for each in page.button] == ["Use this key"], "nothing else can be done"
        assert not page.session_state._state.filtered_state.get(session.OPERATOR_KEY)


def test_a_champion_is_promoted_and_rolled_back_after_a_confirmation(operated: Operated, open_page: OpenPage) -> None:
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Versions")
    assert "Champion version 1" in told(page)
    assert "NDCG@10, in the sitting" in str(page.table[0].value)
    assert [each.disabled for each in page.button if each.label == "Promote version 2"] == [True], "no reason yet"
    page.text_input(key="operate_promote_reason").set_value(ODD[:200]).run()

    page = pressed(page, "Promote version 2")
    assert "Version 2 becomes the champion in place of version 1" in told(page)
    assert "Version 1 is held back" in told(page)
    page = pressed(page, "No, change nothing")
    assert champion_of(operated.platform) == 1
    page = pressed(pressed(page, "Promote version 2"), "Yes: promote version 2")
    assert "Version 2 is the champion." in told(page)
    assert "Champion version 2" in told(page), "at once, although the service has not loaded it"
    assert "Version 2 is the champion; the service is loading it." in told(page)
    assert not [each for each in page.button if each.label.startswith("Roll back")], "the list of versions is old"
    assert page.session_state[PART] == "Versions"
    assert champion_of(operated.platform) == 2
    operated.read_registry()
    page.run()
    assert [each.value for each in page.selectbox if each.label == "Version"] == [2], "the champion is compared"
    assert "night shift" in str(operated.platform.database.rows("SELECT decided_by FROM movierec.promotion_decisions"))

    assert "The champion before version 2 was version 1 of an unknown dataset." in told(page)
    page.text_input(key="operate_back_reason").set_value("Complaints").run()
    page = pressed(page, "Roll back")
    assert "Version 1 becomes the champion again. Version 2 is held back" in told(page)
    page = pressed(page, "Yes: roll back")
    assert champion_of(operated.platform) == 1
    operated.read_registry()
    page.run()
    assert "There is no champion before the present one." in told(page)
    assert "It is held back from promotion." in told(page)


def test_a_confirmation_promises_a_hold_only_where_one_is_made(operated: Operated, open_page: OpenPage) -> None:
    third = register(operated.platform, seed=3, data="1" * 8)  # the recipe and the likes of version 1
    operated.read_registry()
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Versions")
    page.selectbox(key="operate_version_1").set_value(third).run()
    page.text_input(key="operate_promote_reason").set_value("as good").run()
    page = pressed(page, f"Promote version {third}")
    assert "Version 1 is not held back, since version 3 has the same recipe" in told(page)
    page = pressed(page, f"Yes: promote version {third}")
    assert champion_of(operated.platform) == third
    assert promotions_of(operated.platform).holds() == []


def version(number: int, likes: str | None, dataset: int | None = 1, **recipe: int) -> dict[str, Any]:
    """Parts of a version, as GET /models answers it."""
    provenance = {} if likes is None else {"positives_fingerprint": likes}
    return {"version": number, "dataset_id": dataset, "recipe": recipe, "provenance": provenance}


def test_a_replaced_champion_is_held_back_unless_it_is_as_good_as_the_same_or_of_other_data() -> None:
    champion = version(1, "a", factors=8, seed=1)
    assert versions.why_not_held_back(champion, version(2, "b", factors=8, seed=1)) is None
    assert versions.why_not_held_back(champion, version(2, "a", factors=9, seed=1)) is None
    assert versions.why_not_held_back(champion, version(2, None, None, factors=8, seed=1)) is None
    for promoted, said in (
        (version(2, "a", factors=8, seed=2), "the same recipe"),
        (version(2, "b", 2, factors=9, seed=2), "other data"),
    ):
        assert said in str(versions.why_not_held_back(champion, promoted))
    assert "not recorded" in str(versions.why_not_held_back(version(1, None, factors=8), champion))


def test_versions_compare_when_they_learned_from_the_same_likes() -> None:
    one, other = version(1, "a"), version(2, "a")
    one["provenance"]["made_from"], other["provenance"]["made_from"] = '{"app_ratings": null}', '{"app_ratings": 8}'
    assert versions.same_data(one, other)
    assert not versions.same_data(one, version(2, "b"))
    assert not versions.same_data(version(1, None), version(2, None))


def test_a_version_whose_run_has_just_ended_is_not_called_undecided(operated: Operated, open_page: OpenPage) -> None:
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Versions")
    assert "; not decided" in told(page)
    page.session_state[_LAST_END] = time.time()
    page.run()
    assert not page.exception
    assert "; its decision is being read" in told(page)
    assert "not decided" not in told(page)
    operated.read_registry()
    assert "; not decided" in told(page.run())


def test_the_only_version_is_compared_with_none(operated: Operated, open_page: OpenPage) -> None:
    view = RegistryView.read(operated.platform.settings)
    assert view is not None
    replace(view, versions=view.versions[-1:]).write(operated.platform.settings)
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Versions")
    assert not page.exception
    assert not page.selectbox
    assert "There is one version." in told(page)
    assert "Version 1**, made" in told(page)


def test_a_rollback_to_other_data_says_that_nothing_would_be_served_and_can_be_undone(
    operated: Operated, open_page: OpenPage
) -> None:
    platform, promotions = operated.platform, promotions_of(operated.platform)
    demo = load_as(platform, "demo")
    third = register(platform, seed=3, dataset=demo)
    promotions.promote(third, "of demo", "me")
    platform.registry.client.delete_model_version(MODEL_NAME, "1")  # whose data was not recorded
    loaded = load_as(platform, "films")
    fourth, fifth = (register(platform, seed=seed, dataset=loaded) for seed in (4, 5))
    promotions.promote(fourth, "of films", "me")
    operated.read_registry()
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Versions")
    warned = f"{third} of other data: nothing would be served until demo is loaded again"
    assert f"The champion before version {fourth} was version {warned}." in told(page)
    box = page.selectbox(key=f"operate_version_{fourth}")
    assert warned in box.options
    assert box.value == fifth, "one of the loaded data is proposed"

    page.text_input(key="operate_back_reason").set_value("oops").run()
    (button,) = [each for each in page.button if each.label == "Roll back"]
    assert button.disabled, "nobody has agreed to other data"
    page.checkbox(key="operate_back_force").check().run()
    page = pressed(page, "Roll back")
    assert "It is of other data: nothing would be served until demo is loaded again." in told(page)
    page = pressed(page, "Yes: roll back")
    assert champion_of(platform) == third
    assert not page.success, "nothing to be glad of"
    assert "nothing is served until demo is loaded again" in told(page)
    operated.read_registry()
    page = page.run()
    said = told(page)
    assert f"Version {third} is the champion, and nothing is served." in said
    assert "the service is loading it" not in said
    assert page.selectbox(key=f"operate_version_{third}").value == fourth, "the former champion is proposed"
    page.text_input(key="operate_promote_reason").set_value("undo").run()
    page = pressed(pressed(page, f"Promote version {fourth}"), f"Yes: promote version {fourth}")
    assert champion_of(platform) == fourth


def test_the_champion_can_be_changed_again_after_a_stated_time(
    operated: Operated, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Versions")
    page.text_input(key="operate_promote_reason").set_value("better").run()
    page = pressed(pressed(page, "Promote version 2"), "Yes: promote version 2")
    assert f"or after {operating.LONG_SECONDS} s." in told(page)
    assert not [each for each in page.button if each.label.startswith("Promote")]
    monkeypatch.setattr(operating, "LONG_SECONDS", 0)
    page = page.run()
    assert "It takes longer than it should" in told(page)
    assert [each for each in page.button if each.label.startswith("Promote")]


def test_a_refusal_is_shown_at_the_button_in_words_of_the_page(operated: Operated, open_page: OpenPage) -> None:
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Versions")
    page.text_input(key="operate_promote_reason").set_value("better").run()
    page = pressed(page, "Promote version 2")
    promotions_of(operated.platform).promote(2, "somebody was faster", "me")
    page = pressed(page, "Yes: promote version 2")
    (refusal,) = [each.value for each in page.columns[-2].info]
    assert "Nothing was changed" in refusal
    assert "Version 2 is the champion already" in refusal.replace("\\", "")
    assert [each.label for each in page.button if each.label.startswith("Promote")] == ["Promote version 2"]


def action(ends: bool) -> None:
    import streamlit as st

    from movierec_assets.serving.app import asking
    from movierec_assets.serving.app.client import ApiProblem

    def do() -> None:
        if ends:
            raise ApiProblem(409, "Not possible now", "It is of other data; load it (`movierec run`), or use --force.")
        st.stop()

    asking.confirmed("try", "Try", "It changes things.", do, working="It is tried")


@pytest.mark.parametrize("ends", [True, False])
def test_a_change_says_that_it_works_and_can_be_asked_for_once(ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    working: list[str] = []

    def spinner(words: str, **_: object) -> nullcontext[None]:
        working.append(words)
        return nullcontext()

    monkeypatch.setattr(st, "spinner", spinner)
    page = pressed(pressed(AppTest.from_function(action, args=(ends,)).run(), "Try"), "Yes: try")
    (button,) = page.button
    assert (button.label, button.disabled) == ("Try", not ends)
    assert working == ["It is tried"]
    said = told(page)
    assert "It changes things." not in said
    assert ("Nothing was changed." in said) == ends
    assert "movierec run" not in said
    assert "--force" not in said


def test_the_end_of_loading_is_said(open_page: OpenPage, worker: Worker) -> None:
    with address_of(worker_with(worker.settings, worker.current.snapshot)) as address:
        key = create_key(Database(worker.settings.databases.ratings), "operator", "day shift")
        tell_of_versions(worker)
        page = with_key(open_page("operate", at=address), key)
        page.session_state[operating._LOADING] = (VERSION, time.monotonic(), False)
        page = page.run()
    assert [each.value for each in page.success] == [f"Version {VERSION} is served now."]


def test_the_open_part_is_in_the_address(operated: Operated, open_page: OpenPage) -> None:
    page = with_key(open_page("operate", at=operated.address, part="Alerts"), operated.key)
    assert page.session_state[PART] == "Alerts"
    page = part_of(page, "Versions")
    assert page.query_params["part"] in ("Versions", ["Versions"])
    page = with_key(open_page("operate", at=operated.address, part="<b>"), operated.key)
    assert "Refresh" in [each.label for each in page.button]


def test_alerts_and_parts_that_are_away_are_told(operated: Operated, open_page: OpenPage) -> None:
    failed = Cause("run:train:als_model", RUN, "train failed", f"als_model: {ODD}", "Run `movierec run` again.")
    update(operated.platform.database, [failed], ["webhook"], datetime.now(UTC))
    page = part_of(with_key(open_page("operate", at=operated.address), operated.key), "Alerts")
    said = told(page)
    assert "Open alerts 1" in said
    assert "train failed" in said
    assert "To do: Run `movierec run` again" in said
    assert r"\<b\>" in words(page), "shown as text"
    assert "Not told by webhook" in said
    assert "The part automation cannot be read now." in said
    assert "Dagster does not answer" in said
    page = pressed(pressed(part_of(page, "Jobs"), "Train"), "Yes: train")
    assert "Temporarily unavailable" in told(page)


def test_a_key_is_forgotten_when_a_person_says_so_and_when_it_was_revoked(
    operated: Operated, open_page: OpenPage
) -> None:
    page = with_key(open_page("operate", at=operated.address), operated.key)
    page = pressed(page, "Forget the key")
    assert [each.label for each in page.button] == ["Use this key"]
    assert operated.key not in str(page.session_state._state.filtered_state)

    page = with_key(page, operated.key)
    revoke_key(operated.platform.database, operated.key.split("_")[1])
    time.sleep(CHECK_EVERY)
    page.session_state[_STATE] = None
    page = page.run()
    assert "The API accepts the key no longer." in told(page)
    assert [each.label for each in page.button] == ["Use this key"], "another one can be typed"
    assert operated.key not in str(page.session_state._state.filtered_state)


def test_the_key_is_in_the_session_only(
    operated: Operated, open_page: OpenPage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    page = with_key(open_page("operate", at=operated.address), operated.key)
    page = pressed(page, "Train")
    secret = operated.key.split("_", 2)[2]
    state = dict(page.session_state._state.filtered_state)
    assert state.pop(session.OPERATOR_KEY) == operated.key
    assert state, "the page keeps other things there"
    assert secret not in str(state)
    assert secret not in str(dict(page.query_params))
    assert secret not in told(page)
    assert caplog.text, "something was logged"
    assert secret not in caplog.text
    assert secret not in "".join(capfd.readouterr())
    session.cached("/model")
    kept = [each for caches in _data_caches._function_caches.values() for each in _kept(caches)]
    assert kept, "something is cached"
    assert not any(secret in name or secret.encode() in value for name, value in kept)


def _kept(caches: Any) -> Iterator[tuple[str, bytes]]:
    """Names and values of Streamlit's caches."""
    for cache in caches.values():
        yield from cache.storage._mem_cache.items()


def test_the_api_may_be_away_when_a_key_is_sent(open_page: OpenPage) -> None:
    page = open_page("operate", at=NOWHERE)
    page = with_key(page, "movierec_0_0")
    assert "does not answer" in told(page)
    assert "movierec up" in told(page)
