"""Comparing versions, and changing the champion.

Belongs here: what operators see and press. Does not: the figures (`versions`), and the change, which the API makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from movierec_assets.serving.app import asking, jobs, look, operating, session, times, versions
from movierec_assets.serving.app.client import Answer


def show_versions(key: str, state: Mapping[str, Any]) -> None:
    """Versions side by side, and forms that promote one or roll back; `state` is that of the platform."""
    answer = session.api().get("/models", {"n": 50})
    known = answer["versions"]
    if not known:
        raise look.NothingYet("There is no version yet.", "Train one under Jobs, or run `movierec run`.")
    champion = versions.champion_of(known)
    reading = answer["as_of"] < jobs.last_end()
    _compare(known, champion, "its decision is being read" if reading else "not decided")
    if reading:
        _await_registry()
    loading = operating.loading()
    if loading is not None and not operating.is_late() and (champion is None or champion["version"] != loading):
        st.caption(
            f"Version {loading} is the champion, and the service is loading it. It can be changed again when the "
            f"service has answered, or after {operating.LONG_SECONDS} s."
        )
        return
    loaded = state["data"]["dataset"] if state["data"] else None
    promote, back = st.columns(2)
    with promote.container(border=True):
        _promote(key, known, champion, loaded)
    with back.container(border=True):
        _roll_back(key, known, champion, loaded)


@st.fragment(run_every=operating.LOOK_SECONDS)
def _await_registry() -> None:
    """Show the page anew when the service has read the registry after the last run."""
    with look.calm(polls=True):
        if session.api().get("/models", {"n": 1})["as_of"] >= jobs.last_end():
            st.rerun()


def _compare(known: Sequence[versions.Version], champion: versions.Version | None, undecided: str) -> None:
    """Two versions side by side; `undecided` is said of one without a decision."""
    st.markdown("## Compare")
    if len(known) == 1:
        _about(known[0], undecided)
        st.caption("There is one version. The next training adds one to compare it with.")
        return
    named = {each["version"]: each for each in known}
    numbers = list(named)
    first = champion["version"] if champion else numbers[-1]
    other = next((number for number in numbers if number != first), first)
    left, right = st.columns(2)
    # Boxes of their own for each champion: a browser keeps the words of what is chosen, as in "2, champion".
    one, two = (
        named[
            place.selectbox(
                words, numbers, index=numbers.index(shown), format_func=_label(named), key=f"operate_{words}_{first}"
            )
        ]
        for place, words, shown in ((left, "Version", first), (right, "with", other))
    )
    if one is two:
        st.caption("Pick two different versions to see differences.")
    for version in (one, two) if one is not two else (one,):
        _about(version, undecided)
    if one is two:
        return
    st.table(versions.compared(one, two), hide_index=True)
    if not versions.same_data(one, two):
        st.caption(
            "Each was scored on its own ratings, so the figures do not compare directly: data makes them differ too."
        )
    differences = versions.recipe_differences(one, two)
    st.markdown("Recipe: " + ("; ".join(map(look.plain, differences)) if differences else "the same") + ".")


def _about(version: versions.Version, undecided: str) -> None:
    outcome = versions.OUTCOMES.get(version["outcome"] or "", undecided)
    st.markdown(
        f"**Version {version['version']}**, made {times.at(datetime.fromisoformat(version['created']))} from "
        f"{look.plain(version['dataset'] or 'an unknown dataset')}; {outcome}. "
        f"{look.plain(version['reason'] or '')}" + (" It is held back from promotion." if version["held_back"] else "")
    )


def _label(named: Mapping[int, versions.Version]) -> Callable[[int], str]:
    def label(number: int) -> str:
        aliases = named[number]["aliases"]
        return f"{number}, {', '.join(aliases)}" if aliases else str(number)

    return label


def _promote(
    key: str, known: Sequence[versions.Version], champion: versions.Version | None, loaded: str | None
) -> None:
    st.markdown("## Promote")
    others = {each["version"]: each for each in known if each is not champion}
    if not others:
        st.caption("There is no other version to promote.")
        return
    numbers = list(others)
    number = st.selectbox(
        "Version to promote",
        numbers,
        index=numbers.index(_first_choice(others, known, champion, loaded)),
        format_func=lambda each: _named(others[each], loaded),
        # A box of its own for each champion: what was chosen before is forgotten.
        key=f"operate_version_{champion['version'] if champion else None}",
    )
    chosen = others[number]
    reason = st.text_input("Why", max_chars=200, key="operate_promote_reason", help="Kept with the decision.").strip()
    other = versions.is_of_other_data(chosen, loaded)
    force = _accept_other_data("operate_promote_force") if other else False
    place = f"in place of version {champion['version']}" if champion else "where there is none"
    replaced = f"{_held_back(champion, chosen)} " if champion else ""
    follows = (
        f"The API answers with it within 30 s, and a run of publish writes the lists of everybody within some minutes. "
        f"{replaced}A rollback undoes it."
    )
    if other:
        follows = f"{_nothing_served(chosen)} {replaced}{_undone_by(champion)}"
    changes = f"Version {number} becomes the champion {place}. {follows}"
    if not reason:
        st.caption("A reason is needed.")
    body = {"version": number, "reason": reason, "force": force}
    asking.confirmed(
        "promote",
        f"Promote version {number}",
        changes,
        lambda: _change(session.api().call("POST", "/model/promote", body=body, key=key), of_other_data=other),
        working=f"Version {number} is loaded and tried, then it becomes the champion",
        disabled=not reason or (other and not force),
    )


def _first_choice(
    others: Mapping[int, versions.Version],
    known: Sequence[versions.Version],
    champion: versions.Version | None,
    loaded: str | None,
) -> int:
    """The version that is proposed: the champion of before where the present one serves nothing, else the newest one.

    One of other data is proposed only where there is none of the loaded data.
    """
    if champion is None or versions.is_of_other_data(champion, loaded):
        former = versions.returned_to(known, loaded)
        if former is not None and not versions.is_of_other_data(others[former], loaded):
            return former
    served = (number for number, each in others.items() if not versions.is_of_other_data(each, loaded))
    return next(served, next(iter(others)))


def _roll_back(
    key: str, known: Sequence[versions.Version], champion: versions.Version | None, loaded: str | None
) -> None:
    st.markdown("## Roll back")
    before = versions.returned_to(known, loaded)
    if champion is None or before is None:
        st.caption("There is no champion before the present one.")
        return
    target = next(each for each in known if each["version"] == before)
    other = versions.is_of_other_data(target, loaded)
    st.caption(
        f"The champion before version {champion['version']} was version {look.plain(_named(target, loaded))}."
        + (" Promote another version instead, or train one." if other else "")
    )
    reason = st.text_input("Why", max_chars=200, key="operate_back_reason", help="Kept with the decision.").strip()
    force = _accept_other_data("operate_back_force") if other else False
    follows = (
        f"{_nothing_served(target)} {_undone_by(champion)}"
        if other
        else "The API follows within 30 s, the lists within some minutes. Promoting a version undoes it."
    )
    changes = f"Version {before} becomes the champion again. {_held_back(champion, target)} {follows}"
    if not reason:
        st.caption("A reason is needed.")
    body = {"reason": reason, "force": force}
    asking.confirmed(
        "rollback",
        "Roll back",
        changes,
        lambda: _change(session.api().call("POST", "/model/rollback", body=body, key=key), of_other_data=other),
        working=f"Version {before} is loaded and tried, then it becomes the champion",
        disabled=not reason or (other and not force),
    )


def _named(version: versions.Version, loaded: str | None) -> str:
    """As in "3 of ml-latest-small"; of a version of other data, also what would follow."""
    name = versions.dataset_of(version)
    if not versions.is_of_other_data(version, loaded):
        return f"{version['version']} of {name}"
    return f"{version['version']} of other data: nothing would be served until {name} is loaded again"


def _accept_other_data(key: str) -> bool:
    return st.checkbox("I know that this version is of other data", key=key)


def _nothing_served(version: versions.Version) -> str:
    """What follows a champion of other data, as Markdown."""
    name = look.plain(versions.dataset_of(version))
    return f"**It is of other data: nothing would be served until {name} is loaded again.**"


def _undone_by(champion: versions.Version | None) -> str:
    return (
        "Promoting another version undoes it."
        if champion is None
        else (f"Promoting version {champion['version']} undoes it.")
    )


def _held_back(replaced: versions.Version, promoted: versions.Version) -> str:
    """What becomes of the champion that a person replaces, in a sentence."""
    reason = versions.why_not_held_back(replaced, promoted)
    if reason is None:
        return f"Version {replaced['version']} is held back: no training promotes its recipe on its data again."
    return f"Version {replaced['version']} is not held back, since {reason}: a training may promote its recipe again."


def _change(answer: Answer, *, of_other_data: bool) -> None:
    """Say what a change did, and wait for the service to follow."""
    changed = answer.value
    operating.await_champion(int(changed["champion"]), of_other_data=of_other_data)
    said = f"Version {changed['champion']} is the champion. {changed['follows']}"
    if of_other_data:
        operating.warn(said)
    operating.done(look.with_code(said))
