"""Draws lines of text as photographs of print: fonts, sizes, inks, papers, blur, noise, slant.

Every picture is fixed by the random generator it is given. The fonts come out of a pinned wheel.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tasks import wheels
from tasks.task import Array

CALIBRATION_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSansMono",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "STIXGeneral",
)
EVALUATION_FONTS = (
    *CALIBRATION_FONTS,
    "DejaVuSans-Oblique",
    "DejaVuSansMono-Bold",
    "DejaVuSerif-Bold",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
)

MARGIN = 0.15
"""Paper around the ink, as a share of the font's size, and at most this much more."""


def line(rng: np.random.Generator, text: str, fonts: Sequence[str], *, hardness: float = 1.0) -> Image.Image:
    """A photograph of one line of text, RGB, cut as a detector would cut it.

    `hardness` scales noise, blur and slant; at 0 the print is clean.
    """
    size = int(rng.integers(22, 49))
    font = load_font(str(rng.choice(list(fonts))), size)
    left, top, right, bottom = font.getbbox(text)
    margins = (size * (MARGIN + MARGIN * rng.random(4))).astype(int)
    width = int(right - left + margins[0] + margins[1])
    height = int(bottom - top + margins[2] + margins[3])
    ink = Image.new("L", (width, height))
    ImageDraw.Draw(ink).text((margins[0] - left, margins[2] - top), text, font=font, fill=255)
    slant = hardness * rng.normal(0.0, 0.05)
    ink = ink.transform(
        ink.size,
        Image.Transform.AFFINE,
        (1.0, slant, -slant * height / 2, 0.0, 1.0, 0.0),
        Image.Resampling.BILINEAR,
    )
    return photograph(rng, np.asarray(ink, dtype=np.float32) / 255, hardness=hardness)


def photograph(rng: np.random.Generator, ink: Array, *, hardness: float = 1.0) -> Image.Image:
    """Coverage [H, W] in [0, 1] as a picture of ink on paper, RGB, some through JPEG."""
    paper, pen = _colours(rng)
    ground = paper * _shade(rng, ink.shape)[..., None]
    ground = ground + _grain(rng, ink.shape, hardness)[..., None]
    picture = ground * (1.0 - ink[..., None]) + pen * ink[..., None]
    image = Image.fromarray(_bytes(picture))
    image = image.filter(ImageFilter.GaussianBlur(hardness * abs(rng.normal(0.0, 0.5))))
    noisy = np.asarray(image, dtype=np.float32) / 255
    noisy = noisy + rng.normal(0.0, hardness * rng.uniform(0.0, 0.05), noisy.shape)
    image = Image.fromarray(_bytes(noisy))
    return _compressed(image, int(rng.integers(40, 90))) if rng.random() < 0.4 * hardness else image


@lru_cache(maxsize=512)
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of the pinned wheel, `size` in pixels."""
    return ImageFont.truetype(
        wheels.open_member(wheels.FONTS, f"matplotlib/mpl-data/fonts/ttf/{name}.ttf"), size
    )


def _colours(rng: np.random.Generator) -> tuple[Array, Array]:
    """Paper and ink, RGB in [0, 1], far enough apart to read; dark on light three times of four."""
    light = rng.uniform(0.65, 1.0) * (1.0 - 0.25 * rng.random(3))
    dark = rng.uniform(0.0, 0.3) + 0.2 * rng.random(3)
    return (light, dark) if rng.random() < 0.75 else (dark, light)


def _shade(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Light that falls off linearly in some direction, by up to a quarter."""
    down, right = rng.uniform(-0.12, 0.12, 2)
    rows, columns = (np.linspace(-1.0, 1.0, size) for size in shape)
    shade: Array = 0.9 + down * rows[:, None] + right * columns[None, :]
    return shade


def _grain(rng: np.random.Generator, shape: tuple[int, ...], hardness: float) -> Array:
    """Blotches or stripes of the paper, added to it."""
    kind = rng.integers(0, 3)
    strength = 0.06 * hardness
    if kind == 0:
        return np.zeros(shape)
    if kind == 1:
        coarse = rng.normal(0.0, 1.0, (max(1, shape[0] // 8), max(1, shape[1] // 8)))
        blown = Image.fromarray(coarse.astype(np.float32)).resize(
            (shape[1], shape[0]), Image.Resampling.BILINEAR
        )
        return strength * np.asarray(blown, dtype=np.float32)
    period, angle = rng.uniform(5.0, 30.0), rng.uniform(0.0, np.pi)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    wave: Array = strength * np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / period)
    return wave


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _bytes(picture: Array) -> Array:
    """[0, 1] to uint8."""
    clipped: Array = (np.clip(picture, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return clipped
