"""The demo's network that ships in graphopt.demo: scikit-learn's digits, those it was never trained on."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from zoo_inputs import Arrays

import graphopt.demo
from tasks import wheels
from tasks.task import CALIBRATION, Array, Figures, Run, Task, equal

FOLDER = Path(graphopt.demo.__file__).parent


class Digits(Task[int, int]):
    """An image is one run. Judged on the 500 images that ship, calibrated on the rest of scikit-learn's."""

    name = "digits"
    headline = "accuracy"
    metric = "top-1"
    allowance = 0.3

    def path(self) -> Path:
        return FOLDER / "digits.onnx"

    def timed(self) -> tuple[Path, Arrays]:
        return self.path(), next(self.samples())

    def samples(self) -> Iterator[Arrays]:
        held_out = {image.tobytes() for image in np.load(FOLDER / "digits_test.npz")["images"]}
        free = np.stack([image for image in all_images() if image.tobytes() not in held_out])
        rng = np.random.default_rng([CALIBRATION, 4])
        while True:
            yield {"image": free[rng.choice(len(free), 8, replace=False)].astype(np.float32)}

    def evaluation(self) -> Iterator[tuple[Arrays, int]]:
        test = np.load(FOLDER / "digits_test.npz")
        for image, label in zip(test["images"].astype(np.float32), test["labels"], strict=True):
            yield {"image": image[None]}, int(label)

    def answer(self, run: Run, inputs: Arrays) -> int:
        return int(run(inputs)[0][0].argmax())

    def figures(self, labels: Sequence[int], expected: Sequence[int], actual: Sequence[int]) -> Figures:
        return {"accuracy": equal(labels, actual), "agreement": equal(expected, actual)}


def all_images() -> Array:
    """Scikit-learn's digits, uint8 [1797, 1, 8, 8] with values 0 to 16."""
    rows = gzip.decompress(wheels.read(wheels.SAMPLES, "sklearn/datasets/data/digits.csv.gz")).decode()
    table = np.loadtxt(rows.splitlines(), delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, 1, 8, 8)
