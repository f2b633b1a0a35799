"""Repair of the scripts in `.venv/bin` when the path of the environment has characters that a shell expands.

Belongs here: the step of `make` after an installation. pip writes the path of the interpreter between double quotes for
/bin/sh, which expands a dollar in it. Does not: installing (the Makefile).
"""

from __future__ import annotations

import sys
from pathlib import Path

_EXEC = "'''exec' "
_RELATIVE_EXEC = f'{_EXEC}"$(dirname "$(realpath "$0")")/python" "$0" "$@"'


def repair(directory: Path) -> list[str]:
    """Let scripts start the interpreter in their own directory; returns the names of changed scripts."""
    changed = []
    for path in sorted(directory.iterdir()):
        if path.is_symlink() or not path.is_file() or not path.read_bytes().startswith(b"#!/bin/sh\n" + _EXEC.encode()):
            continue
        shebang, command, *rest = path.read_text(encoding="utf-8").split("\n")
        if command != _RELATIVE_EXEC and set("$`\\") & set(command.removesuffix('"$0" "$@"')):
            path.write_text("\n".join([shebang, _RELATIVE_EXEC, *rest]), encoding="utf-8")
            changed.append(path.name)
    return changed


if __name__ == "__main__":
    repair(Path(sys.executable).parent)
