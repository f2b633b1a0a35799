"""Finding and loading the library that an installation builds from the C sources beside this module.

Belongs here: the library, why there is none, and the types of its functions. Does not: what is given to them
(`solver`, `ranking`, `counting`, `ordering`). Only the standard library is imported, so that a command can ask quickly.

The library needs a C compiler when the package is installed. Without it, or with the environment variable
`MOVIEREC_NATIVE` set to `off`, `implicit` and numpy give the same factors, counts and lists.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

SWITCH = "MOVIEREC_NATIVE"
"""Environment variable; `off` leaves all work to `implicit` and numpy."""
HOW_TO_BUILD = (
    "To build it, install a C compiler (Debian and Ubuntu: `apt-get install gcc libc6-dev`), then `make -B install`."
)
WIDTHS = (16, 32, 48, 64, 96, 128, 192, 256)
"""Numbers of factors that `solver.c` is compiled for."""
_ABI = 5
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
        one = self.functions.movierec_solve_one
        one.argtypes = [ctypes.c_int, ctypes.c_int, number, *[pointer] * 2, number, *[pointer] * 3, number]
        one.argtypes += [ctypes.c_int, *[pointer] * 2]
        rank, best, followers = (getattr(self.functions, f"movierec_{name}") for name in ("rank", "best", "followers"))
        rank.argtypes = [ctypes.c_int, *[pointer] * 3, *[number] * 3, *[pointer] * 2]
        best.argtypes = [ctypes.c_int, *[pointer] * 5, *[number] * 2, *[pointer] * 2]
        best.restype = number
        followers.argtypes = [*[pointer] * 2, *[number] * 3, pointer, *[number] * 2, pointer]
        self.functions.movierec_by_time.argtypes = [pointer, *[number] * 2, *[pointer] * 4]
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
    built = [path for suffix in EXTENSION_SUFFIXES if (path := directory / f"_native{suffix}").is_file()]
    if not built:
        return "it was not built"
    try:
        return Library(built[0])
    except (OSError, AttributeError) as error:
        return f"it cannot be loaded ({error})"


def loaded() -> Library:
    """The library; `why_not` tells beforehand whether there is one.

    Raises
    ------
    RuntimeError
        When there is none.
    """
    found = load()
    if isinstance(found, Library):
        return found
    raise RuntimeError(f"The native library cannot be used: {found}.")


def why_not() -> str | None:
    """Why the library is not used; None when it is."""
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "false", "no"):
        return f"{SWITCH} is off"
    loaded = load()
    return loaded if isinstance(loaded, str) else None


def solves(factors: int) -> bool:
    """Whether the library is used for this many factors."""
    return factors <= WIDTHS[-1] and why_not() is None
