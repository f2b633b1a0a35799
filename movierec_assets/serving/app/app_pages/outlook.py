"""What is next, the licence of the data, references and credits.

Belongs here: the page. Does not: figures.
"""

from __future__ import annotations

import streamlit as st

from movierec_assets.serving.app import look

LEAD = "What could come next, whose data this is, what the methods are based on, and who made the parts."
_NEXT = """
* **Learning from clicks.** What people do with their lists is recorded and summed up each night. A training could learn
  from it, beside ratings.
* **Two versions at a time.** The champion is chosen on held-out likes. Two versions, each serving half of the people,
  would show whether the one with the better figure is also the one that is clicked more.
* **Films without ratings.** They are in no list of the model. Genres, tags and descriptions could place them among the
  others until somebody rates them.
* **More than one machine.** One machine is enough for 20 million ratings. For many more, the fit could be divided: the
  engine that fits is handed in, and others have the same interface.
"""
_DATA = """
MovieLens is a dataset of [GroupLens Research](https://grouplens.org/datasets/movielens/), University of Minnesota.
These are its terms in our words. Those in the README.txt of each release hold.

* It may be used for research. Whoever earns money with it needs the permission of GroupLens first.
* Publications that use it name it by the first reference below.
* Nobody may say or suggest that the university or GroupLens endorse what was made with it.
* Some releases, ml-20m among them, may not be passed on. Others, such as ml-latest-small, may be passed on under the
  same terms.
* It comes without warranty.

It knows people by numbers only. The demo set and generated sets are simulated; they hold no data of MovieLens.
"""
_REFERENCES = (
    (
        "F. M. Harper, J. A. Konstan (2015). The MovieLens Datasets: History and Context. ACM TiiS 5(4), 19.",
        "https://doi.org/10.1145/2827872",
        "the data",
    ),
    (
        "Y. Hu, Y. Koren, C. Volinsky (2008). Collaborative Filtering for Implicit Feedback Datasets. ICDM.",
        "https://doi.org/10.1109/ICDM.2008.22",
        "alternating least squares on likes, and the reasons of a list",
    ),
    (
        "G. Takács, I. Pilászy, D. Tikk (2011). Applications of the Conjugate Gradient Method for Implicit Feedback "
        "Collaborative Filtering. RecSys.",
        "https://doi.org/10.1145/2043932.2043987",
        "the faster solution of each step",
    ),
    (
        "H. Steck (2019). Embarrassingly Shallow Autoencoders for Sparse Data. WWW.",
        "https://doi.org/10.1145/3308558.3313710",
        "EASE, one of the baselines",
    ),
    (
        "K. Järvelin, J. Kekäläinen (2002). Cumulated gain-based evaluation of IR techniques. ACM TOIS 20(4).",
        "https://doi.org/10.1145/582415.582418",
        "NDCG, the figure that decides",
    ),
    (
        "T. Akiba et al. (2019). Optuna: A Next-generation Hyperparameter Optimization Framework. KDD.",
        "https://doi.org/10.1145/3292500.3330701",
        "the search for a recipe",
    ),
)
_CREDITS = (
    ("Dagster", "assets, checks, schedules", "https://dagster.io"),
    ("implicit", "the fit", "https://github.com/benfred/implicit"),
    ("MLflow", "the registry of versions", "https://mlflow.org"),
    ("PostgreSQL", "ratings and lists", "https://www.postgresql.org"),
    ("FastAPI", "the API", "https://fastapi.tiangolo.com"),
    ("Streamlit and Altair", "these pages and their charts", "https://streamlit.io"),
    ("NumPy, SciPy, polars", "arrays, matrices, tables", "https://numpy.org"),
)


def page() -> None:
    """The page."""
    with look.page("Outlook and credits", LEAD):
        st.header("What is next")
        st.markdown(_NEXT)
        st.header("Licence of the data")
        st.markdown(_DATA)
        st.header("References")
        st.markdown(
            "\n".join(
                f"* [{look.plain(text.rstrip('.'))}]({address}): {about}." for text, address, about in _REFERENCES
            )
        )
        st.header("Credits")
        st.markdown(
            "The platform grew from a presentation in nine pages about recommending films with matrix factorization. "
            "It stands on free software:"
        )
        st.markdown("\n".join(f"* [{name}]({address}): {about}" for name, about, address in _CREDITS))
        st.markdown("The licence of the platform is in its file LICENSE.")


if __name__ == "__main__":
    page()
