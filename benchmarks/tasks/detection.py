"""PP-OCR text detection: drawn pages; the boxes found against the boxes drawn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from zoo_inputs import Arrays

from tasks import boxes, drawing, words
from tasks.boxes import Box
from tasks.phrases import phrase
from tasks.recognition import normalised
from tasks.task import CALIBRATION, EVALUATION, Array, Figures, Run, Task

PAGES = 60
SIZES = ((640, 640), (640, 640), (480, 736), (736, 480))
"""Height and width of the pages, in turn."""
MOST_LINES = 30
"""Lines tried on a page; many find no free place."""
BORDER = 12
HARDNESS = 0.7
FOUND = 0.5
"""A drawn box is found where a detected one has at least this intersection over union with it."""


@dataclass(frozen=True)
class Page:
    """What was drawn, RGB, and where the text's ink is."""

    image: Image.Image
    boxes: list[Box]


class Detection(Task[list[Box], Array]):
    """A page is one run; its answer is the map of probabilities."""

    name = "ppocr-det"
    calibration_size = 30
    headline = "f1"
    metric = "sqnr"
    allowance = 1.0

    def samples(self) -> Iterator[Arrays]:
        rng = np.random.default_rng([CALIBRATION, 2])
        for size in itertools.cycle(SIZES):
            page = draw_page(rng, size, words.CALIBRATION_WORDS, drawing.CALIBRATION_FONTS)
            yield {"x": normalised(page.image)[None]}

    def evaluation(self) -> Iterator[tuple[Arrays, list[Box]]]:
        rng = np.random.default_rng([EVALUATION, 2])
        for size in itertools.islice(itertools.cycle(SIZES), PAGES):
            page = draw_page(rng, size, words.EVALUATION_WORDS, drawing.EVALUATION_FONTS)
            yield {"x": normalised(page.image)[None]}, page.boxes

    def answer(self, run: Run, inputs: Arrays) -> Array:
        probability: Array = run(inputs)[0][0, 0]
        return probability

    def figures(
        self, labels: Sequence[list[Box]], expected: Sequence[Array], actual: Sequence[Array]
    ) -> Figures:
        found = [boxes.from_probability(page) for page in actual]
        overlaps = [
            overlap
            for drawn, page in zip(labels, found, strict=True)
            for overlap in boxes.best_overlaps(drawn, page)
        ]
        same = [
            np.mean((one > boxes.THRESHOLD) == (other > boxes.THRESHOLD))
            for one, other in zip(expected, actual, strict=True)
        ]
        hits = sum(overlap >= FOUND for overlap in overlaps)
        recall, precision = hits / len(overlaps), hits / max(1, sum(map(len, found)))
        return {
            "f1": 200.0 * recall * precision / max(recall + precision, 1e-9),
            "recall": 100.0 * recall,
            "precision": 100.0 * precision,
            "iou": 100.0 * float(np.mean(overlaps)),
            "equal pixels": 100.0 * float(np.mean(same)),
        }


def draw_page(
    rng: np.random.Generator, size: tuple[int, int], vocabulary: Sequence[str], fonts: Sequence[str]
) -> Page:
    """Lines of text in several sizes, none near another, on paper as `drawing.photograph` makes it."""
    height, width = size
    ink = Image.new("L", (width, height))
    pen = ImageDraw.Draw(ink)
    placed: list[Box] = []
    for _ in range(int(rng.integers(MOST_LINES // 2, MOST_LINES + 1))):
        font = drawing.load_font(str(rng.choice(list(fonts))), int(rng.integers(16, 44)))
        text = phrase(rng, vocabulary)
        left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
        free = width - 2 * BORDER - (right - left), height - 2 * BORDER - (bottom - top)
        if min(free) <= 0:
            continue
        x, y = (BORDER + int(rng.integers(0, space)) for space in free)
        box = (x, y, x + right - left, y + bottom - top)
        if any(boxes.touching(box, other, font.size) for other in placed):
            continue
        pen.text((x - left, y - top), text, font=font, fill=255)
        placed.append(box)
    coverage = np.asarray(ink, dtype=np.float32) / 255
    return Page(drawing.photograph(rng, coverage, hardness=HARDNESS), placed)
