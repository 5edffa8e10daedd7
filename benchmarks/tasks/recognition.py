"""PP-OCR recognition: drawn lines of English text; exact match and characters against what was drawn."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from zoo_inputs import Arrays

from tasks import ctc, drawing, words
from tasks.phrases import phrase
from tasks.task import CALIBRATION, EVALUATION, Array, Figures, Run, Task

HEIGHT, WIDTH = 48, 320
LINES = 400


class Recognition(Task[str, str]):
    """A line is one run; the width follows the line, as in the model's own pipeline."""

    name = "ppocr-rec"
    headline = "exact"
    metric = "ctc-text"
    allowance = 1.0

    def samples(self) -> Iterator[Arrays]:
        rng = np.random.default_rng([CALIBRATION, 0])
        while True:
            text = phrase(rng, words.CALIBRATION_WORDS)
            yield {"x": features(drawing.line(rng, text, drawing.CALIBRATION_FONTS))}

    def evaluation(self) -> Iterator[tuple[Arrays, str]]:
        rng = np.random.default_rng([EVALUATION, 0])
        for _ in range(LINES):
            text = phrase(rng, words.EVALUATION_WORDS)
            yield {"x": features(drawing.line(rng, text, drawing.EVALUATION_FONTS))}, text

    def answer(self, run: Run, inputs: Arrays) -> str:
        return ctc.greedy(run(inputs)[0][0], self.characters).strip()

    def figures(self, labels: Sequence[str], expected: Sequence[str], actual: Sequence[str]) -> Figures:
        return ctc.text_figures(labels, expected, actual)

    @functools.cached_property
    def characters(self) -> list[str]:
        """The model's classes: blank, the characters its metadata lists, space."""
        import onnx

        model = onnx.load(self.path(), load_external_data=False)
        listed = {entry.key: entry.value for entry in model.metadata_props}["character"]
        return ["", *listed.splitlines(), " "]


def features(image: Image.Image) -> Array:
    """A line as the model takes it: float32 [1, 3, 48, W], BGR in [-1, 1], zero-padded to W >= 320."""
    width = -(-HEIGHT * image.width // image.height)
    padded = np.zeros((1, 3, HEIGHT, max(WIDTH, width)), dtype=np.float32)
    padded[0, :, :, :width] = normalised(image.resize((width, HEIGHT), Image.Resampling.BILINEAR))
    return padded


def normalised(image: Image.Image) -> Array:
    """RGB bytes to float32 [3, H, W], BGR in [-1, 1]."""
    pixels: Array = np.asarray(image, dtype=np.float32)[:, :, ::-1].transpose(2, 0, 1) / 127.5 - 1.0
    return pixels
