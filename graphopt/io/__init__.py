"""Models in and out: loading with checks and repairs, saving whole or not at all, the interface between."""

from __future__ import annotations

from graphopt.io.atomic import ensure_writable
from graphopt.io.datafile import data_files_of
from graphopt.io.interface import Interface, Port, restore
from graphopt.io.load import load, load_with_notes
from graphopt.io.save import save
from graphopt.io.serialize import to_proto
from graphopt.io.size import stored_bytes
from graphopt.io.sources import data_files
from graphopt.io.weights import map_external

__all__ = [
    "Interface",
    "Port",
    "data_files",
    "data_files_of",
    "ensure_writable",
    "load",
    "load_with_notes",
    "map_external",
    "restore",
    "save",
    "stored_bytes",
    "to_proto",
]
