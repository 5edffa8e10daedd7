"""Other planners of bare instances, as far as they are installed; each returns an arena that was checked.

MiniMalloc itself is in no package registry: its published seconds stand in the table.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator

from graphopt.memory.buffers import Instance
from graphopt.memory.check import check_placement

PACKAGE = "omnimalloc"

Peer = Callable[[Instance[str]], int]
"""Places an instance; bytes of the arena."""


def peers(seconds: float) -> Iterator[tuple[str, Peer]]:
    """Name and planner of each allocator: its default one, and its best search in some time on one thread."""
    try:
        package = importlib.import_module(PACKAGE)
        allocators = importlib.import_module(f"{PACKAGE}.allocators")
    except ImportError:
        return
    solvers = {
        "omni": allocators.OmniAllocator(),
        "supermalloc": allocators.SupermallocAllocator(timeout=seconds, num_threads=1),
    }

    def place(solver: object, instance: Instance[str]) -> int:
        made = package.allocate(
            [
                package.Allocation(id=each.id, size=each.size, start=each.lower, end=each.upper)
                for each in instance.buffers
            ],
            solver,
        )
        offsets: dict[str, int] = {each.id: each.offset for each in made}
        arena = max(offsets[each.id] + each.size for each in instance.buffers)
        check_placement(instance.buffers, offsets, arena, 0)
        return arena

    for name, solver in solvers.items():
        yield name, functools.partial(place, solver)


def version() -> str | None:
    """Of the package, or None where it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
