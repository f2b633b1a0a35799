"""`python -m movierec_assets.cli` is `movierec`."""

from movierec_assets.cli.root import main

main()
