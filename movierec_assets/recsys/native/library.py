"""Finding and loading the library that an installation builds from `solver.c`.

Belongs here: the library, why there is none, and the types of its functions. Does not: what is given to them
(`solver`). Only the standard library is imported, so that a command can ask quickly.

The library needs a C compiler when the package is installed. Without it, or with the environment variable
`MOVIEREC_NATIVE` set to `off`, `implicit` computes the same factors.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

SWITCH = "MOVIEREC_NATIVE"
"""Environment variable; `off` leaves all work to `implicit`."""
HOW_TO_BUILD = (
    "To build it, install a C compiler (Debian and Ubuntu: `apt-get install gcc libc6-dev`), then `make -B install`."
)
MAX_FACTORS = 256
_ABI = 1
"""As in `solver.c`; both rise when an argument changes."""


class Library:
    """The loaded library.

    Attributes
    ----------
    functions : ctypes.CDLL
        With the types of their arguments.
    target : int
        The instructions to use: the fastest that this processor has.
    """

    def __init__(self, path: Path) -> None:
        self.functions = ctypes.CDLL(str(path))
        if self.functions.movierec_abi() != _ABI:
            raise OSError(f"{path.name} was built from other sources")
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self.functions.movierec_target.restype = ctypes.c_char_p
        solve, loss = self.functions.movierec_solve, self.functions.movierec_loss
        solve.argtypes = [ctypes.c_int, ctypes.c_int, *[pointer] * 7, number, ctypes.c_int]
        loss.argtypes = [ctypes.c_int, ctypes.c_int, *[pointer] * 6, number, pointer]
        loss.restype = ctypes.c_double
        self.target = next(iter(self.targets()))

    def targets(self) -> dict[int, str]:
        """Names of the targets that this processor runs, the fastest first."""
        found, number = dict[int, str](), 0
        while (name := self.functions.movierec_target(number)) is not None:
            if self.functions.movierec_runs(number):
                found[number] = name.decode()
            number += 1
        return found


@cache
def load() -> Library | str:
    """The library, or why it cannot be used."""
    directory = Path(__file__).parent
    built = [path for suffix in EXTENSION_SUFFIXES if (path := directory / f"_solver{suffix}").is_file()]
    if not built:
        return "it was not built"
    try:
        return Library(built[0])
    except (OSError, AttributeError) as error:
        return f"it cannot be loaded ({error})"


def why_not() -> str | None:
    """Why the library is not used; None when it is."""
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "false", "no"):
        return f"{SWITCH} is off"
    loaded = load()
    return loaded if isinstance(loaded, str) else None


def solves(factors: int) -> bool:
    """Whether the library is used for this many factors."""
    return factors <= MAX_FACTORS and why_not() is None
