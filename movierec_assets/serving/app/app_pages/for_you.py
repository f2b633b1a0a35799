"""Recommendations for one person, who may rate films and see the list change.

Belongs here: the page. Does not: lists, which the API makes.
"""

from __future__ import annotations

from movierec_assets.serving.app import look, session


def page() -> None:
    """The page."""
    with look.page("For you", "What the model recommends, and why. Rate a film, and the list changes."):
        answer = session.api().post("/recommend", {"n": 12, "explain": True})
        for movie in answer["movies"]:
            look.film(movie)


if __name__ == "__main__":
    page()
