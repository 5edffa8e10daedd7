"""Draws lines of text as images from a small built-in bitmap font, so that OCR models see text they can read.

Never reads a font file: the same text gives the same pixels on every machine.
"""

from __future__ import annotations

import numpy as np

GLYPH_HEIGHT, GLYPH_WIDTH = 7, 5

# Seven rows of five pixels a glyph, each row one number below 32, the leftmost pixel the highest bit.
_FONT = {
    "A": (14, 17, 17, 31, 17, 17, 17),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "D": (30, 17, 17, 17, 17, 17, 30),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16),
    "G": (14, 17, 16, 23, 17, 17, 15),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "K": (17, 18, 20, 24, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "N": (17, 25, 21, 19, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "X": (17, 17, 10, 4, 10, 17, 17),
    "Y": (17, 17, 10, 4, 4, 4, 4),
    "2": (14, 17, 1, 6, 8, 16, 31),
    "3": (30, 1, 1, 14, 1, 1, 30),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    " ": (0, 0, 0, 0, 0, 0, 0),
}
ALPHABET = "".join(sorted(_FONT.keys() - {" "}))


def random_text(rng: np.random.Generator, length: int) -> str:
    """`length` random characters of the font, without spaces."""
    return "".join(rng.choice(list(ALPHABET), length))


def ink(text: str, pixel: int) -> np.ndarray:
    """The text as float32 [7 * pixel, 6 * len(text) * pixel], 1.0 where there is ink."""
    rows = np.array([_FONT[character] for character in text], dtype=np.uint8)
    bits = (rows[..., None] >> np.arange(GLYPH_WIDTH - 1, -1, -1)) & 1
    spaced = np.pad(bits, ((0, 0), (0, 0), (0, 1)))
    line = spaced.transpose(1, 0, 2).reshape(GLYPH_HEIGHT, -1)
    return line.repeat(pixel, axis=0).repeat(pixel, axis=1).astype(np.float32)


def smooth(image: np.ndarray, passes: int = 1) -> np.ndarray:
    """Blur the last two axes with the kernel 1-2-1 in each direction, `passes` times, edges repeated."""
    for _ in range(passes):
        for axis in (-2, -1):
            widths = [(0, 0)] * image.ndim
            widths[axis] = (1, 1)
            padded = np.pad(image, widths, mode="edge")
            size = image.shape[axis]
            low, mid, high = (np.take(padded, np.arange(size) + step, axis) for step in range(3))
            image = (low + 2 * mid + high) / 4
    return image
