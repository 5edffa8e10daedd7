"""PP-OCR direction classifier: drawn lines, half of them upside down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from zoo_inputs import Arrays

from tasks import drawing, words
from tasks.phrases import phrase
from tasks.recognition import HEIGHT, normalised
from tasks.task import CALIBRATION, EVALUATION, Array, Figures, Run, Task, equal

WIDTH = 192
LINES = 400


class Direction(Task[int, int]):
    """Class 0 is upright, class 1 turned by 180 degrees."""

    name = "ppocr-cls"
    headline = "accuracy"
    metric = "top-1"
    allowance = 1.0

    def samples(self) -> Iterator[Arrays]:
        rng = np.random.default_rng([CALIBRATION, 1])
        while True:
            text = phrase(rng, words.CALIBRATION_WORDS)
            image = drawing.line(rng, text, drawing.CALIBRATION_FONTS)
            yield {"x": features(image, turned=bool(rng.integers(2)))}

    def evaluation(self) -> Iterator[tuple[Arrays, int]]:
        rng = np.random.default_rng([EVALUATION, 1])
        for number in range(LINES):
            text = phrase(rng, words.EVALUATION_WORDS)
            image = drawing.line(rng, text, drawing.EVALUATION_FONTS)
            yield {"x": features(image, turned=bool(number % 2))}, number % 2

    def answer(self, run: Run, inputs: Arrays) -> int:
        return int(run(inputs)[0][0].argmax())

    def figures(self, labels: Sequence[int], expected: Sequence[int], actual: Sequence[int]) -> Figures:
        return {"accuracy": equal(labels, actual), "agreement": equal(expected, actual)}


def features(image: Image.Image, *, turned: bool) -> Array:
    """float32 [1, 3, 48, 192]: resized to height 48, squeezed where wider than 192, zero-padded."""
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_180)
    width = min(WIDTH, -(-HEIGHT * image.width // image.height))
    padded = np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.float32)
    padded[0, :, :, :width] = normalised(image.resize((width, HEIGHT), Image.Resampling.BILINEAR))
    return padded
