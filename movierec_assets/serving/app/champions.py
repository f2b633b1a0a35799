"""Comparing versions, and changing the champion.

Belongs here: what operators see and press. Does not: the figures (`versions`), and the change, which the API makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import streamlit as st

from movierec_assets.serving.app import asking, jobs, look, operating, session, times, versions
from movierec_assets.serving.app.client import Answer


def show_versions(key: str) -> None:
    """Versions side by side, and forms that promote one or roll back."""
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
    if loading is not None and (champion is None or champion["version"] != loading):
        st.caption(
            f"Version {loading} is the champion, and the service is loading it. Wait before you change it again."
        )
        return
    promote, back = st.columns(2)
    with promote.container(border=True):
        _promote(key, known, champion)
    with back.container(border=True):
        _roll_back(key, known, champion)


@st.fragment(run_every=operating.LOOK_SECONDS)
def _await_registry() -> None:
    """Show the page anew when the service has read the registry after the last run."""
    with look.calm():
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


def _promote(key: str, known: Sequence[versions.Version], champion: versions.Version | None) -> None:
    st.markdown("## Promote")
    others = {each["version"]: each for each in known if each is not champion}
    if not others:
        st.caption("There is no other version to promote.")
        return
    number = st.selectbox("Version to promote", list(others), format_func=_label(others), key="operate_version")
    reason = st.text_input("Why", max_chars=200, key="operate_promote_reason", help="Kept with the decision.").strip()
    force = st.checkbox("Also if it is of other data than the loaded one", key="operate_promote_force")
    place = f"in place of version {champion['version']}" if champion else "where there is none"
    replaced = f"{_held_back(champion, others[number])} " if champion else ""
    changes = (
        f"Version {number} becomes the champion {place}. The API answers with it within 30 s, and a run of publish "
        f"writes the lists of everybody within some minutes. {replaced}A rollback undoes it."
    )
    if not reason:
        st.caption("A reason is needed.")
    if asking.confirmed("promote", f"Promote version {number}", changes, disabled=not reason):
        body = {"version": number, "reason": reason, "force": force}
        _change(session.api().call("POST", "/model/promote", body=body, key=key))


def _roll_back(key: str, known: Sequence[versions.Version], champion: versions.Version | None) -> None:
    st.markdown("## Roll back")
    before = versions.returned_to(known)
    if champion is None or before is None:
        st.caption("There is no champion before the present one.")
        return
    named = {each["version"]: each for each in known}
    st.caption(f"The champion before version {champion['version']} was version {before}.")
    reason = st.text_input("Why", max_chars=200, key="operate_back_reason", help="Kept with the decision.").strip()
    force = st.checkbox("Also to a version of other data than the loaded one", key="operate_back_force")
    changes = (
        f"Version {before} becomes the champion again. {_held_back(champion, named[before])} The API follows within "
        "30 s, the lists within some minutes. Promoting a version undoes it."
    )
    if not reason:
        st.caption("A reason is needed.")
    if asking.confirmed("rollback", "Roll back", changes, disabled=not reason):
        _change(session.api().call("POST", "/model/rollback", body={"reason": reason, "force": force}, key=key))


def _held_back(replaced: versions.Version, promoted: versions.Version) -> str:
    """What becomes of the champion that a person replaces, in a sentence."""
    reason = versions.why_not_held_back(replaced, promoted)
    if reason is None:
        return f"Version {replaced['version']} is held back: no training promotes its recipe on its data again."
    return f"Version {replaced['version']} is not held back, since {reason}: a training may promote its recipe again."


def _change(answer: Answer) -> None:
    changed = answer.value
    operating.await_champion(int(changed["champion"]))
    operating.done(f"Version {changed['champion']} is the champion. {look.with_code(changed['follows'])}")
