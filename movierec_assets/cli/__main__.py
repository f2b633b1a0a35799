"""`python -m movierec_assets.cli` is `movierec`."""

from movierec_assets.cli.main import main

main()
