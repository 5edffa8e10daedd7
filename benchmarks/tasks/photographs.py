"""EfficientNet-Lite0: crops of photographs; whether a model still says what the float one says.

The photographs have no ImageNet label, so the float model is the judge: its first class and its logits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
from PIL import Image, ImageEnhance
from zoo_inputs import IMAGENET_MEAN, IMAGENET_STD, Arrays
from zoo_wheels import Wheel

from graphopt.quant.measures import sqnr_db
from tasks import wheels
from tasks.task import CALIBRATION, EVALUATION, Array, Figures, Run, Task, share

Source = tuple[Wheel, str]

SIDE = 224

CALIBRATION_PHOTOS: Mapping[str, Source] = {
    "astronaut": (wheels.PHOTOS, "skimage/data/astronaut.png"),
    "brick": (wheels.PHOTOS, "skimage/data/brick.png"),
    "grass": (wheels.PHOTOS, "skimage/data/grass.png"),
    "gravel": (wheels.PHOTOS, "skimage/data/gravel.png"),
    "ihc": (wheels.PHOTOS, "skimage/data/ihc.png"),
    "moon": (wheels.PHOTOS, "skimage/data/moon.png"),
    "page": (wheels.PHOTOS, "skimage/data/page.png"),
    "cheetah cub": (wheels.ANIMALS, "gradio/test_data/cheetah2.jpg"),
    "lion": (wheels.ANIMALS, "gradio/media_assets/images/lion.jpg"),
    "tower": (wheels.ANIMALS, "gradio/media_assets/images/tower.jpg"),
    "flower": (wheels.SAMPLES, "sklearn/datasets/images/flower.jpg"),
}
_OBJECTS = (
    "00_243", "01_559", "02_438", "03_990", "04_949", "05_853", "06_609", "07_609", "08_915", "09_455",
    "10_541", "11_630", "12_741", "13_471", "14_129", "15_99", "16_251", "17_22", "18_317", "19_305",
)  # fmt: skip
MORE_PHOTOS: Mapping[str, Source] = {
    **CALIBRATION_PHOTOS,
    **{each: (wheels.OBJECTS, f"foolbox/data/imagenet_{each}.jpg") for each in _OBJECTS},
    "bus": (wheels.STREETS, "ultralytics/assets/bus.jpg"),
    "men": (wheels.STREETS, "ultralytics/assets/zidane.jpg"),
}
"""What pruning is calibrated on as well, to tell what more pictures are worth: 33 instead of 11."""
EVALUATION_PHOTOS: Mapping[str, Source] = {
    "camera": (wheels.PHOTOS, "skimage/data/camera.png"),
    "chelsea": (wheels.PHOTOS, "skimage/data/chelsea.png"),
    "coffee": (wheels.PHOTOS, "skimage/data/coffee.png"),
    "coins": (wheels.PHOTOS, "skimage/data/coins.png"),
    "motorcycle": (wheels.PHOTOS, "skimage/data/motorcycle_left.png"),
    "retina": (wheels.PHOTOS, "skimage/data/retina.jpg"),
    "rocket": (wheels.PHOTOS, "skimage/data/rocket.jpg"),
    "officer": (wheels.FONTS, "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
    "cheetah": (wheels.ANIMALS, "gradio/media_assets/images/cheetah1.jpg"),
    "running cheetah": (wheels.ANIMALS, "gradio/media_assets/images/cheetah.jpg"),
    "quokka": (wheels.QUOKKA, "imgaug/quokka.jpg"),
    "palace": (wheels.SAMPLES, "sklearn/datasets/images/china.jpg"),
}
CROPS_OF_EACH = 40
CLEAR_MARGIN = 0.5
"""Between the two largest logits: with less, the float model itself hardly prefers one class."""

FLOAT_SQNR = 150.0
"""Decibels that float32 itself is good for; nothing is told apart above."""


class Photographs(Task[str, Array]):
    """A crop is one run; its label is the photograph's name, its answer the logits."""

    name = "effnet-lite0"
    calibration_size = 100
    headline = "agreement"
    metric = "top-1"
    floor = 97.0

    photographs: ClassVar[Mapping[str, Source]] = CALIBRATION_PHOTOS
    """That calibration inputs are cut from."""

    def samples(self) -> Iterator[Arrays]:
        rng = np.random.default_rng([CALIBRATION, 5])
        for source in itertools.cycle(self.photographs.values()):
            yield {"inputs": features(crop(rng, photograph(source)))}

    def evaluation(self) -> Iterator[tuple[Arrays, str]]:
        rng = np.random.default_rng([EVALUATION, 5])
        for _ in range(CROPS_OF_EACH):
            for name, source in EVALUATION_PHOTOS.items():
                yield {"inputs": features(crop(rng, photograph(source)))}, name

    def answer(self, run: Run, inputs: Arrays) -> Array:
        logits: Array = run(inputs)[0][0]
        return logits

    def figures(self, labels: Sequence[str], expected: Sequence[Array], actual: Sequence[Array]) -> Figures:
        ours, theirs = np.stack(actual), np.stack(expected)
        best = theirs.argmax(axis=1)
        ranked = np.argsort(ours, axis=1)
        sure = margins(theirs) > CLEAR_MARGIN
        same = ranked[:, -1] == best
        return {
            "agreement": share(same),
            "agreement where float is sure": share(same[sure]),
            "in first five": share((ranked[:, -5:] == best[:, None]).any(axis=1)),
            "sqnr dB": min(sqnr_db(theirs, ours), FLOAT_SQNR),
        }


class MorePhotographs(Photographs):
    """The same, calibrated on crops of three times as many photographs."""

    photographs = MORE_PHOTOS


def margins(logits: Array) -> Array:
    """The largest less the second largest logit of each row."""
    second, first = np.sort(logits, axis=1)[:, -2:].T
    margin: Array = first - second
    return margin


@lru_cache(maxsize=64)
def photograph(source: Source) -> Image.Image:
    """A whole photograph, RGB."""
    return Image.open(wheels.open_member(*source)).convert("RGB")


def crop(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A square of half to all of the shorter side, flipped or not, light and colour varied a little."""
    side = int(min(image.size) * rng.uniform(0.5, 1.0))
    left, top = (int(rng.integers(0, size - side + 1)) for size in image.size)
    cut = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    cut = ImageEnhance.Brightness(cut).enhance(float(rng.uniform(0.8, 1.2)))
    return ImageEnhance.Color(cut).enhance(float(rng.uniform(0.7, 1.2)))


def features(image: Image.Image) -> Array:
    """float32 [1, 3, 224, 224], normalised for ImageNet."""
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255
    normalised: Array = ((pixels - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32)[None]
    return normalised
