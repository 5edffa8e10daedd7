"""How many bytes a stored model takes, its external data included."""

from __future__ import annotations

import os

from graphopt.io.datafile import locations
from graphopt.io.read import read_model


def stored_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes of the model at `path` and of the data files that it names.

    Raises:
        LoadError: The file cannot be read.
        OSError: A data file is missing.
    """
    model_path = os.fsdecode(path)
    folder = os.path.dirname(model_path)
    names = sorted(set(locations(read_model(model_path))))
    return os.path.getsize(model_path) + sum(os.path.getsize(os.path.join(folder, name)) for name in names)
