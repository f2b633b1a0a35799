"""Results of a benchmark, with figures that are made up."""

from __future__ import annotations

from movierec_tests.benchmarks import stages
from movierec_tests.benchmarks.bare_copy import BareCopy
from movierec_tests.benchmarks.bare_fit import BareFit
from movierec_tests.benchmarks.benchmark import Benchmark, MeasuredRun
from movierec_tests.benchmarks.days import Day, Days
from movierec_tests.benchmarks.graph_run import GraphRun
from movierec_tests.benchmarks.learning_curves import WarmStartComparison
from movierec_tests.benchmarks.next_movies import NextMoviesCount
from movierec_tests.benchmarks.original import Original
from movierec_tests.benchmarks.process_cost import BACKEND, SERVER, Cost, MemorySample
from movierec_tests.benchmarks.solvers import IMPLICIT, OURS, Solver, Solvers
from movierec_tests.benchmarks.targets import targets

RUN = GraphRun(
    prepare_seconds=9.0,
    started=1000.0,
    ended=1100.0,
    steps={
        "raw_movies": (1002.0, 1004.0),
        "raw_ratings": (1004.0, 1022.0),
        "raw_ratings_most_rows_loaded": (1022.0, 1024.0),
        "eligible_users": (1024.0, 1029.0),
        "positive_ratings": (1029.0, 1034.0),
        "split_matrices": (1034.0, 1039.0),
        "next_movies": (1039.0, 1040.0),
        "als_model": (1040.0, 1085.0),
        "return_evaluation": (1085.0, 1085.5),
        "model_evaluation": (1085.5, 1094.5),
        "user_recommendations": (1094.5, 1099.5),
    },
    facts={
        "raw_ratings": {"rows_read": 20_000_000, "dagster/row_count": 20_000_000},
        "eligible_users": {"dagster/row_count": 138_000},
        "test_matrix": {"dagster/row_count": 100_000},
        "als_model": {"positives": 9_000_000, "evaluation_fit_seconds": 21.0, "serving_fit_seconds": 20.0},
        "model_evaluation": {"evaluated_users": 120_000, "baselines_seconds": 1.0},
        "user_recommendations": {"dagster/row_count": 2_760_000},
    },
    failures=[],
    postgres="18.4",
    recipe={"factors": 64, "iterations": 15},
)
ORIGINAL_SECONDS = {
    "load": 240.0,
    "refresh": 6.0,
    "read": 40.0,
    "split": 20.0,
    "bm25": 1.0,
    "fit": 60.0,
    "rank": 8.0,
    "score": 1.0,
}
ORIGINAL = Original(ORIGINAL_SECONDS, {}, {}, 20_000_000, 9_000_000, 120_000, {"ndcg_at_10": 0.05})

BARE_COPY = BareCopy(copy_out=5.0, copy_in=8.0, primary_key=4.0)
NEXT_MOVIES = NextMoviesCount(counts=[4.0, 6.0, 9.0], fits=[20.0, 20.0, 30.0])
SOLVERS = Solvers(
    solvers=[
        Solver(IMPLICIT, 64, 2),
        Solver(OURS, 64, 2),
        Solver(IMPLICIT, 128, 2),
        Solver(OURS, 128, 2),
        Solver(OURS, 64, 1),
    ],
    seconds=[[2.0, 4.0, 2.0], [0.5, 0.8, 0.6], [4.0, 5.0, 6.0], [1.6, 2.0, 2.0], [1.0, 1.2, 1.2]],
    positives=9_000_000,
    users=138_000,
    movies=23_000,
    gemm=[2e11, 1e11, 3e11],
    read=[1e10, 1e10, 2e10],
)
CURVES = WarmStartComparison(warm=[0.1005, 0.1025], cold=0.1015, cold_iterations=6)
DAYS = Days(
    first_ratings=19_800_000,
    first_seconds=99.0,
    days=[
        Day(100_000, 4.0, 80.0, "warm: the champion's recipe on newer data", [0.05, 0.09, 0.1], 1),
        Day(100_001, 4.5, 60.0, "warm: the champion's recipe on newer data", [0.1, 0.102], 2),
    ],
    curves=CURVES,
)


def measured(share: float = 1.0, failures: tuple[str, ...] = ()) -> MeasuredRun:
    cost = Cost(
        101.0, {"Dagster run": 2400.0, BACKEND: 300.0, SERVER: 3500.0}, (MemorySample(1010.0, {"Dagster run": 900.0}),)
    )
    return MeasuredRun(
        share=share,
        ratings=round(20_000_000 * share),
        users=round(138_000 * share),
        seconds=100.0 * share,
        prepare_seconds=9.0,
        stages=stages.stages_of(RUN, cost),
        peaks=cost.peaks,
        bare_fit=BareFit(20.0 * share, [20.0 * share], 8_900_000),
        bare_fit_peak_mb=700.0,
        failures=[*failures],
        recipe=RUN.recipe,
        postgres=RUN.postgres,
    )


def benchmark() -> Benchmark:
    full = measured()
    return Benchmark(
        scale="ml-20m",
        dataset="generated like ml-20m",
        graph=full,
        original=ORIGINAL,
        original_peak_mb=7500.0,
        original_postgres_mb=120.0,
        targets=targets(
            full.stages,
            ratings=full.ratings,
            whole_seconds=full.seconds,
            bare_seconds=20.0,
            solvers=SOLVERS,
            peak_mb=full.peak_mb,
            original=stages.original_stages(ORIGINAL),
            original_peak_mb=7500.0,
            next_movies=NEXT_MOVIES,
            next_movies_peak_mb=1800.0,
        ),
        bare_copy=BARE_COPY,
        solvers=SOLVERS,
        next_movies=NEXT_MOVIES,
        next_movies_peak_mb=1800.0,
        machine={"cores": "2", "memory": "24 GiB", "load before": "0.1"},
        days=DAYS,
        growth=[measured(1 / 4, ("champion_model: nothing is\nserved",)), measured(1 / 2), full],
    )
