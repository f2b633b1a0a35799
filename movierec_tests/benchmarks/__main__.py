"""`python -m movierec_tests.benchmarks`, the program of `make bench`."""

from movierec_assets.cli.root import main
from movierec_tests.benchmarks.command import bench

main(bench, "python -m movierec_tests.benchmarks")
