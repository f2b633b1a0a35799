"""Ratings and users over HTTP, in any order: every list agrees with a plain model of who has rated what."""

from __future__ import annotations

from typing import Any

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule, run_state_machine_as_test

from movierec_assets.serving.online.snapshot import Snapshot

FILE_USER = 5
ALL = 100
"""More movies than there are."""

movies = st.integers(1, 12)  # few, so that one is rated, withdrawn and rated again


class Clients(RuleBasedStateMachine):
    """What clients do, and what is rated."""

    client: httpx.Client
    known: frozenset[int]
    """Movies of the model."""
    users, erased = Bundle("users"), Bundle("erased")

    @initialize(target=users)
    def user_of_the_file(self) -> int:
        page = self.client.get(f"/users/{FILE_USER}/ratings", params={"limit": 1000}).json()["ratings"]
        self.rated = {FILE_USER: {each["movie_id"]: each["stars"] for each in page}}
        return FILE_USER

    @rule(target=users)
    def create(self) -> int:
        made = self.client.post("/users", json={})
        assert made.status_code == 201
        user = int(made.json()["user_id"])
        assert user not in self.rated
        self.rated[user] = {}
        return user

    @rule(user=users, movie=movies, halves=st.integers(1, 10))
    def rate(self, user: int, movie: int, halves: int) -> None:
        body = {"user_id": user, "movie_id": movie, "stars": halves / 2}
        answer = self.client.post("/ratings", json=body)
        assert answer.status_code == 201
        assert answer.json()["added"] or self.rated[user][movie] == halves / 2
        self.rated[user][movie] = halves / 2

    @rule(user=users, movie=movies)
    def withdraw(self, user: int, movie: int) -> None:
        answer = self.client.delete(f"/ratings/{user}/{movie}")
        assert answer.status_code == (200 if movie in self.rated[user] else 404)
        self.rated[user].pop(movie, None)

    @rule(target=erased, user=consumes(users))
    def erase(self, user: int) -> int:
        answer = self.client.delete(f"/users/{user}")
        assert answer.status_code == (403 if user == FILE_USER else 204)
        return user

    @rule(user=users)
    def recommend(self, user: int) -> None:
        self._agrees(user)

    @rule(user=erased)
    def nothing_is_left_of_an_erased_user(self, user: int) -> None:
        if user == FILE_USER:
            self._agrees(user)
            return
        named = {"user_id": user, "movie_id": 1, "stars": 4.0}
        assert self.client.post("/recommend", json={"user_id": user}).status_code == 404
        assert self.client.post("/ratings", json=named).status_code == 404
        for verb, path in (
            ("DELETE", f"/ratings/{user}/1"),
            ("GET", f"/users/{user}/ratings"),
            ("DELETE", f"/users/{user}"),
        ):
            assert self.client.request(verb, path).status_code == 404

    def _agrees(self, user: int) -> None:
        answer = self.client.post("/recommend", json={"user_id": user, "n": ALL})
        assert answer.status_code == 200
        listed = [movie["movie_id"] for movie in answer.json()["movies"]]
        assert len(set(listed)) == len(listed)
        # All that is left: a movie whose rating was withdrawn returns.
        assert self.known & set(listed) == self.known - self.rated[user].keys()
        assert not set(listed) & self.rated[user].keys()
        likes = any(stars >= 4 for movie, stars in self.rated[user].items() if movie in self.known)
        assert answer.json()["source"] == ("model" if likes else "popular")
        page = self.client.get(f"/users/{user}/ratings", params={"limit": 1000}).json()["ratings"]
        assert {each["movie_id"]: each["stars"] for each in page} == self.rated[user]


def test_every_list_agrees_with_a_plain_model_of_the_ratings(client: httpx.Client, snapshot: Snapshot) -> None:
    assert snapshot.champion is not None
    known = frozenset(snapshot.champion.recommender.ids.movie_ids.tolist())
    machine: Any = type("Machine", (Clients,), {"client": client, "known": known})
    run_state_machine_as_test(machine, settings=settings(max_examples=8, stateful_step_count=20, deadline=None))
