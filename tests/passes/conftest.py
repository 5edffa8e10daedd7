"""Fixtures for the tests of passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest


def _weights(**shapes: tuple[int, ...]) -> str:
    random = np.random.default_rng(sum(map(len, shapes)))
    texts = []
    for name, shape in shapes.items():
        elements = random.uniform(0.5, 1.5, int(np.prod(shape))) * random.choice((-1.0, 1.0), int(np.prod(shape)))
        if name.startswith("positive"):
            elements = np.abs(elements)
        numbers = ", ".join(f"{element:.6f}" for element in elements)
        dims = f"[{','.join(map(str, shape))}]" if shape else ""
        texts.append(f"float{dims} {name} = {{{numbers}}}")
    return f"<{', '.join(texts)}>"


@pytest.fixture
def weights() -> Callable[..., str]:
    """`weights(w=(2, 3), positive_s=(3,))`: ONNX text of random initializers, for behind a graph's outputs."""
    return _weights
