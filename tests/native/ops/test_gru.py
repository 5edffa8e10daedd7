"""gru: gates, where they reset, states and directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]


def floats(*shape: int) -> Any:
    return np.random.default_rng(list(shape)).normal(0, 0.5, shape).astype(np.float32)


def given(directions: int, size: int, depth: int, *, behind: bool = False, **more: Any) -> dict[str, Any]:
    attributes = {
        "weights": floats(directions, 3 * size, depth),
        "recurrence": floats(directions, 3 * size, size),
        "bias": floats(directions, 3 * size),
    }
    if behind:
        attributes["reset_bias"] = floats(directions, size)
    return attributes | more


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def expected(attributes: dict[str, Any], x: Any, h: Any = None) -> Any:
    """In double precision."""
    directions, gates, _ = attributes["weights"].shape
    steps, batch, _ = x.shape
    y = np.zeros((steps, directions, batch, gates // 3))
    for direction in range(directions):
        hidden = np.zeros((batch, gates // 3)) if h is None else h[direction].astype(np.float64)
        backward = direction == 1 or attributes.get("reverse")
        of_z, of_r, of_g = np.split(attributes["recurrence"][direction].astype(np.float64), 3)
        for step in range(steps)[:: -1 if backward else 1]:
            both = (
                x[step].astype(np.float64) @ attributes["weights"][direction].T
                + attributes["bias"][direction]
            )
            z, r, g = np.split(both, 3, axis=1)
            z, r = sigmoid(z + hidden @ of_z.T), sigmoid(r + hidden @ of_r.T)
            if "reset_bias" in attributes:
                g = np.tanh(g + r * (hidden @ of_g.T + attributes["reset_bias"][direction]))
            else:
                g = np.tanh(g + (r * hidden) @ of_g.T)
            hidden = (1 - z) * g + z * hidden
            y[step, direction] = hidden
    return y


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("size", [1, 3, 16, 21])
@pytest.mark.parametrize("directions", [1, 2])
def test_it_remembers(agrees: Agrees, directions: int, size: int, behind: bool) -> None:
    for steps, batch, depth in ((1, 1, 1), (5, 3, 7), (9, 1, 130), (3, 20, 4)):
        x, attributes = floats(steps, batch, depth), given(directions, size, depth, behind=behind)
        (found,) = agrees("gru", attributes, [x])
        np.testing.assert_allclose(found, expected(attributes, x), atol=1e-5)


def test_products_of_more_than_a_part(agrees: Agrees) -> None:
    x, attributes = floats(2, 2, 3), given(1, 300, 3)
    (found,) = agrees("gru", attributes, [x])
    np.testing.assert_allclose(found, expected(attributes, x), atol=1e-5)


def test_it_goes_backwards(agrees: Agrees) -> None:
    x, attributes = floats(6, 2, 5), given(1, 4, 5, reverse=1)
    (found,) = agrees("gru", attributes, [x])
    np.testing.assert_allclose(found, expected(attributes, x), atol=1e-5)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("directions", [1, 2])
def test_it_begins_with_what_is_given(agrees: Agrees, directions: int, behind: bool) -> None:
    x, h = floats(4, 3, 5), floats(directions, 3, 6)
    attributes = given(directions, 6, 5, behind=behind)
    (found,) = agrees("gru", attributes, [x, h])
    np.testing.assert_allclose(found, expected(attributes, x, h), atol=1e-5)


def test_of_no_steps_rows_or_columns(agrees: Agrees) -> None:
    for steps, batch, depth, size in ((0, 2, 3, 4), (2, 0, 3, 4), (2, 2, 0, 4), (2, 2, 3, 0)):
        for behind in (False, True):
            agrees("gru", given(2, size, depth, behind=behind), [floats(steps, batch, depth)])


@pytest.mark.parametrize(
    ("attributes", "shapes", "said"),
    [
        (given(1, 2, 3) | {"weights": floats(1, 7, 3)}, [(1, 1, 3)], r"not \[directions, 3 \* H, I\]"),
        (given(1, 2, 3) | {"bias": floats(1, 7)}, [(1, 1, 3)], "'bias'"),
        (given(1, 2, 3) | {"reset_bias": floats(1, 3)}, [(1, 1, 3)], "'reset_bias'"),
        (given(1, 2, 3) | {"recurrence": floats(1, 6, 3)}, [(1, 1, 3)], "'recurrence'"),
        (given(2, 2, 3, reverse=1), [(1, 1, 3)], "'reverse'"),
        (given(1, 2, 3), [(1, 1, 4)], "reads"),
        (given(1, 2, 3), [(1, 1, 3), (1, 1, 2), (1, 1, 2)], "inputs"),
        (given(1, 2, 3), [(1, 1, 3), (1, 2, 2)], "begins with"),
    ],
)
def test_what_is_refused(attributes: Any, shapes: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Operator("gru", attributes).bind([floats(*shape) for shape in shapes], 1)
