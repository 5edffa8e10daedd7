"""A small real network with real data, for `graphopt demo`: handwritten digits, 8x8 pixels.

The network was trained and exported by `benchmarks/train_demo.py`; the 500 test images are held-out ones of
"Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI, CC BY 4.0), as in scikit-learn.
This package only hands them out; it never runs the network.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Demo", "load"]


class Demo(NamedTuple):
    """The network's file, its input `image` float32 [500, 1, 8, 8] (values 0 to 16), labels int64 [500]."""

    model: Path
    images: np.ndarray[Any, np.dtype[np.float32]]
    labels: np.ndarray[Any, np.dtype[np.int64]]


def load() -> Demo:
    """Return the network and its test set. The output `probability` is float32 [batch, 10]."""
    # Wheels are installed as folders, so the resource is a plain file.
    files = importlib.resources.files(__name__)
    with (files / "digits_test.npz").open("rb") as stream, np.load(stream) as arrays:
        return Demo(
            Path(str(files / "digits.onnx")),
            arrays["images"].astype(np.float32),
            arrays["labels"].astype(np.int64),
        )
