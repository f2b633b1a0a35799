"""The rooms of the package and the arrows between them, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import movierec_assets

PACKAGE = Path(movierec_assets.__file__).parent
FLOORS = (
    {"cli", "deploy"},
    {"host"},
    {"definitions"},
    {"defs"},
    {"serving"},
    {"alerts", "backup"},
    {"resources"},
    {"models"},
    {"tables"},
    {"postgres", "datasets", "recsys"},
    {"full_disk", "sql", "settings"},
    {"setting_values"},
    {"database_urls", "errors", "file_lock", "garbage", "progress", "ratings"},
)
"""Rooms and single modules, from the top down; imports go down only."""
ALLOWED_LIBRARIES = {
    "database_urls": {"sqlalchemy"},
    "deploy": {"grpc", "grpc_health", "psutil", "psycopg2", "websockets"},
    "recsys": {"implicit", "numpy", "optuna", "scipy", "threadpoolctl"},
    "errors": set(),
    "file_lock": set(),
    "progress": set(),
    "ratings": {"numpy"},
}
"""Rooms that could be lifted out, and the libraries outside Python's own that they use."""
_STANDARD = {"__future__", *sys.stdlib_module_names}


@cache
def modules() -> dict[str, ast.Module]:
    return {
        ".".join(("movierec_assets", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): (
            ast.parse(path.read_text(encoding="utf-8"), str(path))
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _imports(module: str, tree: ast.Module, known: dict[str, ast.Module]) -> Iterator[str]:
    """Modules that a module imports anywhere, those inside functions as well; names of our own are resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.rsplit(".", node.level)[0] if node.level else ""
            if node.level and (PACKAGE.parent / Path(*module.split("."))).is_dir():
                package = module.rsplit(".", node.level - 1)[0] if node.level > 1 else module
            base = ".".join(filter(None, (package, node.module)))
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                yield deeper if deeper in known else base


def _room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "movierec_assets" and len(parts) > 1 else None


@cache
def arrows() -> dict[str, set[str]]:
    """What each module imports. Not at import: every worker of the tests imports this module."""
    return {module: set(_imports(module, tree, modules())) for module, tree in modules().items()}


def test_every_room_has_a_floor() -> None:
    assert {_room(module) for module in modules()} - {None} == set().union(*FLOORS)


def test_arrows_between_rooms_go_down_only() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upward = [
        f"{module} -> {target}"
        for module, targets in arrows().items()
        for target in sorted(targets)
        if (here := _room(module)) and (there := _room(target)) and here != there and floor[there] <= floor[here]
    ]
    assert not upward


def test_no_module_imports_itself_through_others() -> None:
    own = {
        module: {target for target in targets if target in modules()} - {module} for module, targets in arrows().items()
    }
    list(TopologicalSorter(own).static_order())


def test_rooms_that_could_be_lifted_out_use_only_their_libraries() -> None:
    foreign = {
        f"{module} -> {target}"
        for module, targets in arrows().items()
        if (room := _room(module)) in ALLOWED_LIBRARIES
        for target in targets
        if (library := target.split(".")[0]) not in _STANDARD | {"movierec_assets"}
        and library not in ALLOWED_LIBRARIES[str(room)]
    }
    assert not foreign
