"""Realistic inputs for the models of the zoo: what each one's own pipeline would hand to it.

Every function takes a random generator and the sizes of the dynamic dimensions, and returns the named arrays
of one run. Nothing is downloaded; only `file_bytes` reads files (of the running Python), so only it depends
on the machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from zoo_text import GLYPH_HEIGHT, GLYPH_WIDTH, ink, random_text, smooth

Arrays = dict[str, np.ndarray[Any, Any]]

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32).reshape(3, 1, 1)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32).reshape(3, 1, 1)

# magika reads at most this many bytes from either end of a file, and feeds 1024 of each.
MAGIKA_BLOCK, MAGIKA_TOKENS, MAGIKA_PADDING = 4096, 1024, 256

CLS, SEP, FIRST_WORD, VOCABULARY = 101, 102, 1996, 30522


def text_page(rng: np.random.Generator, batch: int = 1, height: int = 640, width: int = 640) -> Arrays:
    """Pages with a dozen words in several sizes: `x` float32 [batch, 3, height, width] in [-1, 1]."""
    pages = np.stack([_page(rng, height, width) for _ in range(batch)])
    return {"x": _normalise(pages)}


def text_line(rng: np.random.Generator, batch: int = 1, height: int = 48, width: int = 320) -> Arrays:
    """A line of text each, zero-padded at the right: `x` float32 [batch, 3, height, width] in [-1, 1]."""
    lines = np.zeros((batch, 3, height, width), dtype=np.float32)
    for line in lines:
        drawn = _normalise(_line(rng, height, width))
        line[:, :, : drawn.shape[-1]] = drawn
    return {"x": lines}


def captcha(rng: np.random.Generator, width: int = 160) -> Arrays:
    """A grey line of text over noise: `input1` float32 [1, 1, 64, width] in [0, 1]."""
    drawn = _line(rng, 64, width)[1]
    canvas = np.full((64, width), drawn.max(), dtype=np.float32)
    canvas[:, : drawn.shape[-1]] = drawn
    noisy = canvas + rng.normal(0.0, 0.03, canvas.shape)
    return {"input1": np.clip(noisy, 0.0, 1.0).astype(np.float32)[None, None]}


def speech(rng: np.random.Generator, batch: int = 1, rate: int = 16000) -> Arrays:
    """A voiced frame of 36 ms with noise, and a state as it is in mid-stream.

    `input` float32 [batch, 576 or 288] PCM in [-1, 1]; `state` float32 [2, batch, 128]; `sr` int64 scalar,
    16000 or 8000, which chooses the branch of the model that runs.
    """
    samples = 576 * rate // 16000
    seconds = np.arange(samples) / rate
    pitch = rng.uniform(90.0, 220.0, (batch, 1, 1))
    harmonics = np.arange(1, 16)[:, None]
    # Two formants, near 500 and 1500 Hz, shape the spectrum of the voice.
    frequencies = pitch * harmonics
    weights = sum(np.exp(-(((frequencies - formant) / 250.0) ** 2)) for formant in (500.0, 1500.0))
    phases = rng.uniform(0.0, 2 * np.pi, frequencies.shape)
    voice = (weights * np.sin(2 * np.pi * frequencies * seconds + phases)).sum(axis=1)
    pcm = 0.1 * voice + rng.normal(0.0, 0.005, (batch, samples))
    return {
        "input": np.clip(pcm, -1.0, 1.0).astype(np.float32),
        "state": np.tanh(rng.normal(0.0, 0.3, (2, batch, 128))).astype(np.float32),
        "sr": np.array(rate, dtype=np.int64),
    }


def file_bytes(rng: np.random.Generator, batch: int = 1) -> Arrays:
    """The ends of files any Python has (sources, bytecode, an executable): `bytes` int32 [batch, 2048].

    As magika does it: whitespace stripped at the outer ends, 1024 bytes of each, padded inwards.
    """
    library = Path(os.__file__).parent
    files = sorted(
        [*library.glob("[a-h]*.py"), *library.glob("__pycache__/[a-c]*.pyc"), Path(sys.executable)]
    )
    chosen = rng.choice(len(files), batch, replace=batch > len(files))
    return {"bytes": np.stack([magika_tokens(files[index].read_bytes()) for index in chosen])}


def sentences(rng: np.random.Generator, batch: int = 1, length: int = 128) -> Arrays:
    """Token ids with word frequencies as in text, padded to `length`: three int64 arrays [batch, length].

    The first sentence fills its row; the others have from a quarter of it to the whole, the rest masked.
    """
    ids = np.zeros((batch, length), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row in range(batch):
        used = length if row == 0 else int(rng.integers(max(2, length // 4), length + 1))
        words = FIRST_WORD + rng.zipf(1.2, used - 2) % (VOCABULARY - FIRST_WORD)
        ids[row, :used] = [CLS, *words, SEP]
        mask[row, :used] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def photo(rng: np.random.Generator, name: str, batch: int = 1, size: int = 224) -> Arrays:
    """Shapes with a photograph's spectrum, normalised for ImageNet: `name` [batch, 3, size, size]."""
    pictures = np.zeros((batch, 3, size, size))
    for scale in (7, 14, 28, 56, 112):
        coarse = rng.normal(0.0, scale**-0.5, (batch, 3, scale, scale))
        repeats = -(-size // scale)
        enlarged = coarse.repeat(repeats, axis=2).repeat(repeats, axis=3)[:, :, :size, :size]
        pictures += smooth(enlarged, passes=3)
    unit = 0.5 + 0.5 * np.tanh(1.5 * pictures)
    return {name: ((unit - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32)}


def magika_tokens(content: bytes) -> np.ndarray[Any, Any]:
    """The int32 [2048] features magika makes of a file's bytes."""
    first = content[:MAGIKA_BLOCK].lstrip()[:MAGIKA_TOKENS]
    last = content[-MAGIKA_BLOCK:].rstrip()[-MAGIKA_TOKENS:]
    tokens = np.full(2 * MAGIKA_TOKENS, MAGIKA_PADDING, dtype=np.int32)
    tokens[: len(first)] = list(first)
    tokens[2 * MAGIKA_TOKENS - len(last) :] = list(last)
    return tokens


def _page(rng: np.random.Generator, height: int, width: int) -> np.ndarray[Any, Any]:
    """A page [3, height, width] in [0, 1]: dark words on paper that darkens towards one side."""
    covered = np.zeros((height, width), dtype=np.float32)
    for _ in range(12):
        pixel = int(rng.integers(2, 5))
        word = ink(random_text(rng, int(rng.integers(3, 10))), pixel)[:height, :width]
        top = int(rng.integers(0, height - word.shape[0] + 1))
        left = int(rng.integers(0, width - word.shape[1] + 1))
        area = covered[top : top + word.shape[0], left : left + word.shape[1]]
        np.maximum(area, word, out=area)
    return _paint(rng, covered)


def _line(rng: np.random.Generator, height: int, width: int) -> np.ndarray[Any, Any]:
    """A line of text [3, height, at most width] in [0, 1] with a margin on all sides."""
    pixel = max(1, height * 2 // 3 // GLYPH_HEIGHT)
    letters = max(1, (width - 2 * pixel) // ((GLYPH_WIDTH + 1) * pixel))
    word = ink(random_text(rng, int(rng.integers(max(1, letters // 2), letters + 1))), pixel)
    spare = height - word.shape[0]
    return _paint(rng, np.pad(word, ((spare // 2, spare - spare // 2), (pixel, pixel)))[:, :width])


def _paint(rng: np.random.Generator, covered: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Colour a coverage map [H, W] in [0, 1]: light paper, dark ink, blur and noise; [3, H, W]."""
    height, width = covered.shape
    paper = rng.uniform(0.75, 0.95, (3, 1, 1)) * np.linspace(1.0, rng.uniform(0.85, 1.0), width)
    pen = rng.uniform(0.0, 0.3, (3, 1, 1))
    soft = smooth(covered)
    image = paper * (1.0 - soft) + pen * soft + rng.normal(0.0, 0.01, (3, height, width))
    clipped: np.ndarray[Any, Any] = np.clip(image, 0.0, 1.0)
    return clipped


def _normalise(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[0, 1] to [-1, 1], float32."""
    normalised: np.ndarray[Any, Any] = ((image - 0.5) / 0.5).astype(np.float32)
    return normalised
