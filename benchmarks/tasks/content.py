"""What stands in generated files: words, sentences, records, tables and pictures, fixed by the generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Maker = Callable[[np.random.Generator, Sequence[str]], bytes]
"""Makes a file's bytes with a random generator from words."""


def name(rng: np.random.Generator, words: Sequence[str]) -> str:
    """One word."""
    return str(rng.choice(list(words)))


def sentence(rng: np.random.Generator, words: Sequence[str]) -> str:
    """Five to thirteen random words."""
    chosen = [str(word) for word in rng.choice(list(words), int(rng.integers(5, 14)))]
    return " ".join(chosen).capitalize() + "."


def prose(rng: np.random.Generator, words: Sequence[str], sentences: int = 12) -> str:
    """Sentences, three a line."""
    said = [sentence(rng, words) for _ in range(sentences)]
    return "\n".join(" ".join(said[start : start + 3]) for start in range(0, sentences, 3))


def record(rng: np.random.Generator, words: Sequence[str], depth: int = 2) -> dict[str, object]:
    """A nested record with values of several types, as configuration files and answers of servers have."""
    values: dict[str, object] = {}
    for _ in range(int(rng.integers(3, 7))):
        kind = int(rng.integers(0, 5))
        key = f"{name(rng, words)}_{name(rng, words)}"
        if kind == 0:
            values[key] = int(rng.integers(0, 100000))
        elif kind == 1:
            values[key] = bool(rng.integers(2))
        elif kind == 2:
            values[key] = [name(rng, words) for _ in range(3)]
        elif kind == 3 and depth:
            values[key] = record(rng, words, depth - 1)
        else:
            values[key] = f"{name(rng, words)} {name(rng, words)}"
    return values


def rows(rng: np.random.Generator, words: Sequence[str], count: int = 40) -> list[list[str]]:
    """A table with a header: words, whole numbers and decimal ones."""
    header = [f"{name(rng, words)}_{column}" for column in range(5)]
    body = [
        [name(rng, words), str(rng.integers(0, 9999)), f"{rng.normal():.4f}", name(rng, words), str(number)]
        for number in range(count)
    ]
    return [header, *body]


def picture(rng: np.random.Generator) -> Image.Image:
    """Smooth colours with some noise, RGB."""
    from PIL import Image

    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    size = int(rng.integers(48, 200)), int(rng.integers(48, 200))
    blown = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    noisy = np.clip(blown + rng.normal(0.0, 4.0, blown.shape), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8))
