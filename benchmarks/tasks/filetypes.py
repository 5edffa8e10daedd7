"""magika: files made and found, a label each; what the model calls them, and whether float says the same.

The found ones are those of the running Python, so that figures differ a little between installations.
"""

from __future__ import annotations

import functools
import json
import os
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import zoo_wheels
from zoo_inputs import Arrays, magika_tokens

from tasks import binary_files, text_files, wheels, words
from tasks.task import CALIBRATION, EVALUATION, Figures, Run, Task, equal

MADE = {**binary_files.MADE, **text_files.MADE}
MADE_OF_EACH = 10
FOUND_OF_EACH = 80
SMALLEST = 500
"""Bytes; smaller ones found say little of their type."""


class FileTypes(Task[str, str]):
    """A file is one run: the tokens of its two ends."""

    name = "magika"
    calibration_size = 100
    headline = "accuracy"
    metric = "top-1"
    allowance = 0.5

    def samples(self) -> Iterator[Arrays]:
        rng = np.random.default_rng([CALIBRATION, 8])
        found = list(found_files(half=0).values())
        while True:
            for make in MADE.values():
                yield tokens(make(rng, words.CALIBRATION_WORDS))
                paths = found[int(rng.integers(len(found)))]
                yield tokens(paths[int(rng.integers(len(paths)))].read_bytes())

    def evaluation(self) -> Iterator[tuple[Arrays, str]]:
        rng = np.random.default_rng([EVALUATION, 8])
        for label, make in MADE.items():
            for _ in range(MADE_OF_EACH):
                yield tokens(make(rng, words.EVALUATION_WORDS)), label
        for label, paths in found_files(half=1).items():
            for path in paths[:: -(-len(paths) // FOUND_OF_EACH)]:
                yield tokens(path.read_bytes()), label

    def answer(self, run: Run, inputs: Arrays) -> str:
        return self.types[int(run(inputs)[0][0].argmax())]

    def figures(self, labels: Sequence[str], expected: Sequence[str], actual: Sequence[str]) -> Figures:
        return {"accuracy": equal(labels, actual), "agreement": equal(expected, actual)}

    @functools.cached_property
    def types(self) -> list[str]:
        """The model's classes."""
        config = wheels.read(zoo_wheels.MAGIKA, "magika/models/standard_v3_3/config.min.json")
        return list(json.loads(config)["target_labels_space"])


def tokens(content: bytes) -> Arrays:
    """A file as the model takes it."""
    return {"bytes": magika_tokens(content)[None]}


def found_files(half: int) -> dict[str, list[Path]]:
    """Files of this Python by type, every second one of each: 0 to calibrate on, 1 to evaluate on."""
    library = Path(os.__file__).parent
    headers = Path(sysconfig.get_paths()["include"])
    found = {
        "python": library.glob("[a-r]*/*.py"),
        "pythonbytecode": library.glob("[a-r]*/__pycache__/*.pyc"),
        "c": headers.glob("**/*.h"),
        "elf": library.glob("lib-dynload/*.so"),
    }
    large = {
        label: sorted(path for path in paths if path.stat().st_size >= SMALLEST)
        for label, paths in found.items()
    }
    return {label: paths[half::2] for label, paths in large.items() if len(paths) > 1}
