"""Scripts of an environment whose path a shell would expand, as one with a dollar: made to find their interpreter.

Belongs here: what `make` does to `.venv/bin` after an installation. pip writes the path of the interpreter between
double quotes, for /bin/sh to read.
"""

from __future__ import annotations

import sys
from pathlib import Path

_MARK = "'''exec' "
_BESIDE = f'{_MARK}"$(dirname "$(realpath "$0")")/python" "$0" "$@"'


def mend(directory: Path) -> list[str]:
    """Let scripts start the interpreter beside them; returns the names of those that were changed."""
    mended = []
    for path in sorted(directory.iterdir()):
        if path.is_symlink() or not path.is_file() or not path.read_bytes().startswith(b"#!/bin/sh\n" + _MARK.encode()):
            continue
        first, second, *rest = path.read_text(encoding="utf-8").split("\n")
        if second != _BESIDE and set("$`\\") & set(second.removesuffix('"$0" "$@"')):
            path.write_text("\n".join([first, _BESIDE, *rest]), encoding="utf-8")
            mended.append(path.name)
    return mended


if __name__ == "__main__":
    mend(Path(sys.executable).parent)
