"""How many bytes the files of a model take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable


def stored_bytes(paths: Iterable[str | os.PathLike[str]]) -> int:
    """Bytes of these files together; one that somebody has removed meanwhile counts as none."""
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            total += os.path.getsize(path)
    return total
