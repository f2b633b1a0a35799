"""The passes of a fit by `implicit`: the reference, and the fit of machines without the native solver.

Belongs here: `implicit`'s model. Does not: where the confidences come from (`als`).
"""

from __future__ import annotations

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix

from movierec_assets.recsys.engine import EnoughIterations, Iteration, OnIteration
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, writable
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.threads import ALL_CORES, one_blas_thread


def factorize(
    confidences: csr_matrix,
    recipe: Recipe,
    report: OnIteration | None,
    *,
    loss_every: int = 0,
    start: tuple[FloatArray, FloatArray] | None = None,
    threads: int = ALL_CORES,
) -> tuple[FloatArray, FloatArray]:
    """Factorize confidences, see `native.fit.factorize`."""
    with one_blas_thread():  # `implicit` has threads of its own; BLAS threads in addition slow it down
        model = AlternatingLeastSquares(
            factors=recipe.factors,
            regularization=recipe.regularization,
            iterations=recipe.iterations,
            random_state=recipe.seed,
            num_threads=threads,
        )
        model.calculate_training_loss = loss_every > 0

        def after(index: int, seconds: float, value: float | None) -> None:
            loss = None if value is None or not model.calculate_training_loss else float(value)
            following = index + 2
            model.calculate_training_loss = loss_every > 0 and (
                following == recipe.iterations or following % loss_every == 0
            )
            if report is not None:
                report(Iteration(index + 1, recipe.iterations, seconds, loss, model.item_factors))

        model.fit_callback = after
        if start is not None:
            model.user_factors, model.item_factors = (np.array(each, dtype=np.float32) for each in start)
        try:
            model.fit(writable(confidences), show_progress=False)
        except EnoughIterations:
            pass
        except ModelFitError as error:
            raise RecsysError(f"{error}; raise the regularization or lower alpha ({recipe.alpha:g}).") from error
    return np.asarray(model.user_factors), np.asarray(model.item_factors)
