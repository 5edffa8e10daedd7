"""Fixtures for the tests of passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphopt.execute.session import Session
from graphopt.testing import PassRun, model_inputs


def _weights(**shapes: tuple[int, ...]) -> str:
    random = np.random.default_rng(sum(map(len, shapes)))
    texts = []
    for name, shape in shapes.items():
        elements = random.uniform(0.5, 1.5, int(np.prod(shape))) * random.choice(
            (-1.0, 1.0), int(np.prod(shape))
        )
        if name.startswith("positive"):
            elements = np.abs(elements)
        numbers = ", ".join(f"{element:.6f}" for element in elements)
        dims = f"[{','.join(map(str, shape))}]" if shape else ""
        texts.append(f"float{dims} {name} = {{{numbers}}}")
    return f"<{', '.join(texts)}>"


@pytest.fixture(scope="session")
def weights() -> Callable[..., str]:
    """`weights(w=(2, 3), positive_s=(3,))`: random initializers as ONNX text, to stand behind the outputs."""
    return _weights


@pytest.fixture(scope="session")
def assert_close() -> Callable[[PassRun], None]:
    """Assert agreement within 1e-5 of the largest element, or of 1: in random graphs elements cancel out."""

    def check(run: PassRun) -> None:
        before, after = Session(run.before), Session(run.model)
        for feed in model_inputs(run.before, special=False):
            for expected, actual in zip(before.run(feed).values(), after.run(feed).values(), strict=True):
                assert np.abs(expected - actual).max() <= 1e-5 * max(1.0, np.abs(expected).max())

    return check
