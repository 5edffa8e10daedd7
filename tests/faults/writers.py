"""Saves models over one another from several processes at a time, while a reader looks.

    python writers.py FOLDER

Prints, as JSON, what the reader found there, how the writers ended and which files were left.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from graphopt.io import save

WRITERS = 4
SAVES = 25


def _steps() -> Any:
    spec = importlib.util.spec_from_file_location("steps", Path(__file__).with_name("steps.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["steps"] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Even writers save one model and odd ones another, each with a data file of its own."""
    steps = _steps()
    path = Path(sys.argv[1], "m.onnx")
    save(steps.model(steps.OLD), path, external_data=True)
    children = []
    for writer in range(WRITERS):
        child = os.fork()
        if not child:
            model = steps.model((steps.OLD, steps.NEW)[writer % 2])
            for number in range(SAVES):
                save(model, path, external_data=(writer + number) % 5 > 0)
            os._exit(0)
        children.append(child)
    found: dict[str, int] = {}
    codes = []
    while children:
        seen = steps.found(path)
        found[seen] = found.get(seen, 0) + 1
        ended, status = os.waitpid(children[0], os.WNOHANG)
        if ended:
            children.pop(0)
            codes.append(os.waitstatus_to_exitcode(status))
    print(json.dumps({"found": found, "codes": codes, "files": sorted(os.listdir(path.parent))}))


if __name__ == "__main__":
    main()
