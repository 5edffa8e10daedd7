"""ddddocr: drawn captchas of four to six letters and digits over lines and dots.

The model answers in either case for many letters, as captchas allow, so case does not count.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import zoo_wheels
from PIL import Image, ImageDraw, ImageFilter
from zoo_inputs import Arrays

from tasks import ctc, drawing, wheels
from tasks.task import CALIBRATION, EVALUATION, Array, Figures, Run, Task

HEIGHT = 64
CAPTCHAS = 400
ALPHABET = "23456789abdefghjkmnpqrtyABDEFGHJKLMNPQRTY"
"""Without letters that look like a digit or like another letter."""


class Captcha(Task[str, str]):
    """A captcha is one run; the width follows the picture."""

    name = "ddddocr"
    headline = "exact"
    metric = "ctc-text"
    allowance = 1.0
    recurrent = True

    def samples(self) -> Iterator[Arrays]:
        rng = np.random.default_rng([CALIBRATION, 3])
        while True:
            yield {"input1": features(draw(rng, code(rng), drawing.CALIBRATION_FONTS))}

    def evaluation(self) -> Iterator[tuple[Arrays, str]]:
        rng = np.random.default_rng([EVALUATION, 3])
        for _ in range(CAPTCHAS):
            text = code(rng)
            yield {"input1": features(draw(rng, text, drawing.EVALUATION_FONTS))}, text.lower()

    def answer(self, run: Run, inputs: Arrays) -> str:
        return ctc.greedy(run(inputs)[0][:, 0], self.characters).lower()

    def figures(self, labels: Sequence[str], expected: Sequence[str], actual: Sequence[str]) -> Figures:
        return ctc.text_figures(labels, expected, actual)

    @functools.cached_property
    def characters(self) -> list[str]:
        """The model's classes, the blank first, as the wheel's `charsets.py` lists them."""
        source = wheels.read(zoo_wheels.DDDDOCR, "ddddocr/charsets.py").decode()
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "CHARSET_BETA":
                return list(ast.literal_eval(statement.value))
        raise zoo_wheels.ZooError("ddddocr/charsets.py does not list CHARSET_BETA")


def code(rng: np.random.Generator) -> str:
    """Four to six characters."""
    return "".join(rng.choice(list(ALPHABET), int(rng.integers(4, 7))))


def draw(rng: np.random.Generator, text: str, fonts: Sequence[str]) -> Image.Image:
    """Each letter in a colour and at an angle of its own, over a light ground with lines and dots, RGB."""
    size = int(rng.integers(34, 46))
    font = drawing.load_font(str(rng.choice(list(fonts))), size)
    advances = [font.getlength(character) + size * rng.uniform(-0.02, 0.12) for character in text]
    margin = 0.35 * size
    width = int(sum(advances) + 2 * margin)
    image = Image.new("RGB", (width, HEIGHT), _colour(rng, 210, 256))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 4))):
        points = [(int(rng.integers(width)), int(rng.integers(HEIGHT))) for _ in range(2)]
        pen.line(points, fill=_colour(rng, 80, 210), width=int(rng.integers(1, 3)))
    for _ in range(int(rng.integers(0, 60))):
        pen.point((int(rng.integers(width)), int(rng.integers(HEIGHT))), fill=_colour(rng, 60, 200))
    x = margin
    for character, advance in zip(text, advances, strict=True):
        letter = Image.new("L", (2 * size, 2 * size))
        ImageDraw.Draw(letter).text((size, size), character, font=font, fill=255, anchor="mm")
        letter = letter.rotate(float(rng.uniform(-18, 18)), Image.Resampling.BICUBIC)
        centre = int(x + advance / 2), HEIGHT // 2 + int(rng.integers(-4, 5))
        image.paste(_colour(rng, 0, 140), (centre[0] - size, centre[1] - size), letter)
        x += advance
    return image.filter(ImageFilter.GaussianBlur(abs(rng.normal(0.0, 0.4))))


def features(image: Image.Image) -> Array:
    """float32 [1, 1, 64, W] in [0, 1], grey."""
    width = int(image.width * HEIGHT / image.height)
    grey = image.resize((width, HEIGHT), Image.Resampling.LANCZOS).convert("L")
    unit: Array = (np.asarray(grey, dtype=np.float32) / 255.0)[None, None]
    return unit


def _colour(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue
