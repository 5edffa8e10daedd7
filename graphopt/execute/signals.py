"""Float numbers as models meet them: pictures with strokes, blocks and gradients, waveforms, normal noise.

A detector shown pure noise answers with zeros, on which nothing can be compared. Arrays follow from the shape
and the generator alone; nothing is read from disk and no model is looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_RANGES = ((-2.0, 2.0), (0.0, 1.0), (-1.0, 1.0))
"""Of the pictures of the first, second ... set: normalised by a data set's deviation, as read, centred."""
_DEVIATIONS = (1.0, 0.5, 2.0, 0.25)
"""Standard deviation of waveforms and normal numbers of the first, second ... set."""

_SMALLEST_SIDE = 16
"""Of a picture, in pixels."""
_FEWEST_SAMPLES = 128
"""Of a waveform; a shorter row is a row of features."""
_MOST_TRACKS = 2
"""Of a waveform."""

_GLYPH_ROWS = 7
_GLYPH_COLUMNS = 6
"""The last one stays empty."""
_MOST_WORDS = 8
_WORD_AREA = 4000
"""Pixels of a picture for each word."""
_BLOCKS = 4
_NOISE = 0.06
_PERIODS = (40.0, 17.0, 5.0)
"""Of a waveform's sines, in samples; the first two are what speech has at 8 kHz, roughly."""


def make_floats(shape: tuple[int, ...], rng: np.random.Generator, index: int) -> Array:
    """Floats for an input of that shape in set number `index`, float32 or float64."""
    if is_picture(shape):
        return make_pictures(shape, rng, *_RANGES[index % len(_RANGES)])
    deviation = _DEVIATIONS[index % len(_DEVIATIONS)]
    if _is_waveform(shape):
        return np.float32(deviation) * _waveforms(shape, rng)
    return rng.standard_normal(shape) * deviation


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether an array is a batch of grey or colour images, channels first or last."""
    return len(shape) == 4 and _channel_axis(shape) is not None


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    for axis, sides in ((1, shape[2:]), (3, shape[1:3])):
        if shape[axis] in (1, 3) and min(sides) >= _SMALLEST_SIDE:
            return axis
    return None


def make_pictures(shape: tuple[int, ...], rng: np.random.Generator, low: float, high: float) -> Array:
    """Images, one unlike the other: float32 from `low` to `high`, of a shape that `is_picture`."""
    axis = _channel_axis(shape)
    height, width = shape[2:] if axis == 1 else shape[1:3]
    pictures = np.empty((shape[0], shape[axis or 1], height, width), np.float32)
    for picture in pictures:
        grey = _grey(height, width, rng)
        for channel in picture:
            contrast = rng.uniform(0.8, 1.0)
            darkest = low + (high - low) * (1 - contrast) * rng.random()
            np.multiply(grey, np.float32(contrast * (high - low)), out=channel)
            channel += np.float32(darkest)
    return pictures if axis == 1 else np.ascontiguousarray(np.moveaxis(pictures, 1, 3))


def _grey(height: int, width: int, rng: np.random.Generator) -> Array:
    """Light and dark areas under lines of text, float32 [height, width] in [0, 1]."""
    rows = np.linspace(0, rng.uniform(0.5, 3), height, dtype=np.float32)
    columns = np.linspace(0, rng.uniform(0.5, 3), width, dtype=np.float32)
    grey = np.float32(0.7) + np.float32(0.2) * np.sin(rows)[:, None] * np.cos(columns)
    for _ in range(_BLOCKS):
        grey[_extent(height, rng), _extent(width, rng)] *= np.float32(rng.uniform(0.4, 1.2))
    for _ in range(min(_MOST_WORDS, 1 + grey.size // _WORD_AREA)):
        _write(grey, rng)
    grey += np.float32(_NOISE) * rng.random(grey.shape, np.float32)
    return np.clip(grey, 0, 1, out=grey)


def _extent(size: int, rng: np.random.Generator) -> slice:
    """A part of a side, from an eighth of it to a half."""
    length = int(rng.integers(size // 8, size // 2 + 1))
    start = int(rng.integers(0, size - length + 1))
    return slice(start, start + length)


def _write(grey: Array, rng: np.random.Generator) -> None:
    """Darken or lighten the pixels of a word of random strokes somewhere."""
    height, width = grey.shape
    pixel = int(rng.integers(1, max(2, min(6, height // (2 * _GLYPH_ROWS)) + 1)))
    letters = int(rng.integers(2, 9))
    word = np.zeros((_GLYPH_ROWS, letters, _GLYPH_COLUMNS), np.bool_)
    for letter in range(letters):
        word[rng.integers(_GLYPH_ROWS, size=2), letter, :-1] = True
        word[:, letter, rng.integers(_GLYPH_COLUMNS - 1, size=2)] = True
    ink = word.reshape(_GLYPH_ROWS, -1).repeat(pixel, axis=0).repeat(pixel, axis=1)[:height, :width]
    top = int(rng.integers(0, height - ink.shape[0] + 1))
    left = int(rng.integers(0, width - ink.shape[1] + 1))
    area = grey[top : top + ink.shape[0], left : left + ink.shape[1]]
    area[ink] = rng.uniform(0, 0.25) if area.mean() > 0.5 else rng.uniform(0.8, 1)


def _is_waveform(shape: tuple[int, ...]) -> bool:
    if len(shape) not in (2, 3) or shape[-1] < _FEWEST_SAMPLES:
        return False
    return len(shape) == 2 or shape[1] <= _MOST_TRACKS


def _waveforms(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Sines of slowly changing loudness under noise: float32 of about unit deviation."""
    samples = np.arange(shape[-1], dtype=np.float32)
    rows = (*shape[:-1], 1)
    sound = 0.3 * rng.standard_normal(shape, np.float32)
    for period in _PERIODS:
        frequency = 2 * np.pi / (period * rng.uniform(0.7, 1.4, rows).astype(np.float32))
        phase = rng.uniform(0, 2 * np.pi, rows).astype(np.float32)
        sound += np.float32(0.75) * np.sin(frequency * samples + phase)
    return sound
