"""lstm: gates, states and directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]


def floats(*shape: int) -> Any:
    return np.random.default_rng(list(shape)).normal(0, 0.5, shape).astype(np.float32)


def given(directions: int, size: int, depth: int, **more: Any) -> dict[str, Any]:
    attributes = {
        "weights": floats(directions, 4 * size, depth),
        "recurrence": floats(directions, 4 * size, size),
        "bias": floats(directions, 4 * size),
    }
    return attributes | more


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def expected(attributes: dict[str, Any], x: Any, h: Any = None, c: Any = None) -> Any:
    """In double precision."""
    directions, gates, _ = attributes["weights"].shape
    steps, batch, _ = x.shape
    y, kept = np.zeros((steps, directions, batch, gates // 4)), np.zeros((1, directions, batch, gates // 4))
    for direction in range(directions):
        state = np.zeros((batch, gates // 4)) if c is None else c[direction].astype(np.float64)
        hidden = np.zeros((batch, gates // 4)) if h is None else h[direction].astype(np.float64)
        backward = direction == 1 or attributes.get("reverse")
        for step in range(steps)[:: -1 if backward else 1]:
            both = x[step].astype(np.float64) @ attributes["weights"][direction].T
            both += hidden @ attributes["recurrence"][direction].T + attributes["bias"][direction]
            i, o, f, g = np.split(both, 4, axis=1)
            state = sigmoid(f) * state + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(state)
            y[step, direction] = hidden
        kept[0, direction] = state
    return np.concatenate((y, kept)) if attributes.get("keep") else y


@pytest.mark.parametrize("size", [1, 3, 16, 21])
@pytest.mark.parametrize("directions", [1, 2])
def test_it_remembers(agrees: Agrees, directions: int, size: int) -> None:
    for steps, batch, depth in ((1, 1, 1), (5, 3, 7), (9, 1, 130), (3, 20, 4)):
        x, attributes = floats(steps, batch, depth), given(directions, size, depth)
        (found,) = agrees("lstm", attributes, [x])
        np.testing.assert_allclose(found, expected(attributes, x), atol=1e-5)


def test_it_goes_backwards(agrees: Agrees) -> None:
    x, attributes = floats(6, 2, 5), given(1, 4, 5, reverse=1)
    (found,) = agrees("lstm", attributes, [x])
    np.testing.assert_allclose(found, expected(attributes, x), atol=1e-5)


@pytest.mark.parametrize("directions", [1, 2])
def test_it_begins_with_what_is_given(agrees: Agrees, directions: int) -> None:
    x, attributes = floats(4, 3, 5), given(directions, 6, 5)
    h, c = floats(directions, 3, 6), 2 * floats(directions, 3, 6)
    (found,) = agrees("lstm", attributes, [x, h, c])
    np.testing.assert_allclose(found, expected(attributes, x, h, c), atol=1e-5)


@pytest.mark.parametrize("directions", [1, 2])
def test_it_keeps_its_cells(agrees: Agrees, directions: int) -> None:
    attributes = given(directions, 6, 5, keep=1)
    for steps in (0, 1, 4):
        x, h, c = floats(steps, 3, 5), floats(directions, 3, 6), 2 * floats(directions, 3, 6)
        (found,) = agrees("lstm", attributes, [x, h, c])
        np.testing.assert_allclose(found, expected(attributes, x, h, c), atol=1e-5)


def test_of_no_steps_rows_or_columns(agrees: Agrees) -> None:
    for steps, batch, depth, size in ((0, 2, 3, 4), (2, 0, 3, 4), (2, 2, 0, 4), (2, 2, 3, 0)):
        agrees("lstm", given(2, size, depth), [floats(steps, batch, depth)])


@pytest.mark.parametrize(
    ("attributes", "shapes", "said"),
    [
        (given(1, 2, 3) | {"weights": floats(1, 7, 3)}, [(1, 1, 3)], r"not \[directions, 4 \* H, I\]"),
        (given(1, 2, 3) | {"weights": floats(3, 8, 3)}, [(1, 1, 3)], r"not \[directions, 4 \* H, I\]"),
        (given(1, 2, 3) | {"bias": floats(1, 7)}, [(1, 1, 3)], "'bias'"),
        (given(1, 2, 3) | {"recurrence": floats(1, 8, 3)}, [(1, 1, 3)], "'recurrence'"),
        (given(2, 2, 3, reverse=1), [(1, 1, 3)], "'reverse'"),
        (given(1, 2, 3), [(1, 1, 4)], "reads"),
        (given(1, 2, 3), [(1, 1, 3), (1, 1, 2)], "inputs"),
        (given(1, 2, 3), [(1, 1, 3), (1, 1, 2), (1, 2, 2)], "begins with"),
    ],
)
def test_what_is_refused(attributes: Any, shapes: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Operator("lstm", attributes).bind([floats(*shape) for shape in shapes], 1)
