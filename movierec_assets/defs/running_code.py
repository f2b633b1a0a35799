"""The code that runs here, as versions of the model record it.

Belongs here: the commit, the versions of libraries, and the fingerprint of the code that trains. Does not: records of
data (`resources.provenance`).
"""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import movierec_assets
from movierec_assets import __version__
from movierec_assets.settings import PROJECT_ROOT, get_settings

LIBRARIES = ("dagster", "implicit", "mlflow", "numpy", "optuna", "pandas", "scipy")
"""Libraries whose versions may change a model or how it is stored."""
TRAINING_CODE = (
    *("recsys", "defs/next_movies.py", "defs/training.py", "defs/training_inputs.py", "defs/versions.py"),
    *("models/package.py", "models/predecessor.py", "serving/pyfunc.py"),
)
"""Files and directories of the package that decide the content of a version."""
UNKNOWN = "unknown"


def code() -> dict[str, str]:
    """Version and commit of the code that runs here."""
    return {"code_version": __version__, "git_commit": get_settings().git_commit or _git_commit()}


def libraries() -> dict[str, str]:
    """Versions of Python and of LIBRARIES."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = UNKNOWN
    return found


@cache
def training_code() -> str:
    """SHA-256 of TRAINING_CODE. Unlike the commit, it knows changed files and ignores the rest of the package."""
    package = Path(movierec_assets.__file__).parent
    files = [file for name in TRAINING_CODE for file in (sorted((package / name).rglob("*.py")) or [package / name])]
    found = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        found.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


@cache
def _git_commit() -> str:
    """Commit of the working tree, marked when files differ from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT_ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()
