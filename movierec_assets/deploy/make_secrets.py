"""Passwords of a deployment: `python -m movierec_assets.deploy.make_secrets [DIRECTORY]`.

Belongs here: files with random passwords, made where they are missing. Does not: who reads them (`docker-compose.yml`).

Keys of the API are not among them; they are rows of a table, see `movierec keys`.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

DIRECTORY = Path("/secrets")
DATABASE_USER = "movierec"
BYTES = 24
"""Of randomness in a password."""


def make_secrets(directory: Path) -> list[Path]:
    """Make the files that are missing; returns those that were made.

    `database/password` is for Postgres, which runs as another user, and `database/pgpass` for libpq of everybody who
    connects to it. `edge/password` is the password of the pages behind Caddy.
    """
    database, edge = directory / "database", directory / "edge"
    made = [path for path in (database / "password", edge / "password") if not path.exists()]
    for path in made:
        # The directories of the volumes are for containers that mount them, and for the machine's administrator.
        _write(path, f"{secrets.token_urlsafe(BYTES)}\n", 0o444 if path.parent == database else 0o400)
    line = f"*:*:*:{DATABASE_USER}:{(database / 'password').read_text(encoding='utf-8').strip()}\n"
    passwords = database / "pgpass"
    if not passwords.exists() or passwords.read_text(encoding="utf-8") != line:
        _write(passwords, line, 0o400)  # libpq ignores a file that others may read
        made.append(passwords)
    return made


def _write(path: Path, text: str, mode: int) -> None:
    """Write a whole file or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    part.replace(path)


if __name__ == "__main__":
    found = make_secrets(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)
    sys.stdout.write(f"Made {', '.join(map(str, found))}.\n" if found else "All secrets are there.\n")
