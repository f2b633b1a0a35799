"""The `movierec` command: arguments in, text for people out.

Belongs here: the entry point `main`, and one module for each command with all that it prints. Does not: the work of a
command, which is in `host`, `serving` and the rooms below.
"""


def main() -> None:
    """Entry point of the installed command."""
    from movierec_assets.cli.root import main as run

    run()
