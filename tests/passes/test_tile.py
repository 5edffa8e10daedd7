"""tile: the first nodes on parts of the image, the same numbers in less memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphopt.cost import estimate
from graphopt.cost.dims import Dims
from graphopt.ir import infer_shapes
from graphopt.memory.graph_plan import plan_graph
from graphopt.passes.memory.tile import Tile
from graphopt.testing import PassRun, run_pass

Weights = Callable[..., str]


def arenas(run: PassRun) -> tuple[int, int]:
    """Bytes before and after."""
    for model in (run.before, run.model):
        infer_shapes(model)
    before, after = (plan_graph(each.graph, Dims(each).known_shape) for each in (run.before, run.model))
    return before.arena, after.arena


BODIES = {
    "a chain": "a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Relu(a) c = Conv<pads = [1, 1, 1, 1]>(b, v)"
    " d = MaxPool<kernel_shape = [4, 4], strides = [4, 4]>(c) y = GlobalAveragePool(d)",
    "strides": "a = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w) b = Clip(a)"
    " c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(b, v) y = GlobalAveragePool(c)",
    "no padding": "a = Conv(x, w) b = HardSwish(a) d = MaxPool<kernel_shape = [3, 2], strides = [3, 2]>(b)"
    " y = GlobalAveragePool(d)",
    "a residual": "a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Relu(a) c = Conv<pads = [1, 1, 1, 1]>(b, v)"
    " d = Add(b, c) e = AveragePool<kernel_shape = [3, 3], strides = [3, 3], pads = [1, 1, 1, 1]>(d)"
    " y = GlobalAveragePool(e)",
    "two branches": "a = Conv<pads = [1, 1, 1, 1]>(x, w)"
    " b = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a)"
    " c = Conv<pads = [2, 2, 2, 2], dilations = [2, 2]>(a, v) d = Concat<axis = 1>(b, c)"
    " e = MaxPool<kernel_shape = [4, 4], strides = [4, 4]>(d) y = GlobalAveragePool(e)",
    "constants": "a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Mul(a, s) c = PRelu(b, s)"
    " d = MaxPool<kernel_shape = [4, 4], strides = [4, 4]>(c) y = GlobalAveragePool(d)",
}


def text(body: str, weights: Weights) -> str:
    given = weights(w=(8, 3, 3, 3), v=(8, 8, 3, 3), s=(8, 1, 1))
    return f"g (float[1, 3, 41, 37] x) => (float[A, B, C, D] y) {given} {{ {body} }}"


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_less_memory_and_the_same_numbers(body: str, weights: Weights) -> None:
    run = run_pass(text(body, weights), "tile")
    before, after = arenas(run)
    assert run.changes == 1 and after < 0.75 * before
    assert "Slice" in run.ops and "Concat" in run.ops


def test_a_budget_takes_the_fewest_macs_that_keep_it(weights: Weights) -> None:
    macs = []
    for budget in (0, 90_000, 60_000):
        run = run_pass(text(BODIES["a chain"], weights), Tile(budget))
        before, after = arenas(run)
        assert budget == 0 or after <= budget < before
        macs.append(estimate(run.model).macs)
    assert macs[1] <= macs[2] <= macs[0]


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(x) y = GlobalAveragePool(a)",  # in place as it is
        "a = Softmax<axis = 3>(x) b = Conv(a, w) c = Conv(b, v) y = GlobalAveragePool(c)",
        "a = Conv<auto_pad = \"SAME_UPPER\">(x, w) b = Conv(a, v) y = GlobalAveragePool(b)",
        "a = Conv(x, w) p = GlobalAveragePool(a) b = Mul(a, p) y = GlobalAveragePool(b)",
    ],
)  # fmt: skip
def test_must_not_apply(body: str, weights: Weights) -> None:
    run = run_pass(text(body, weights), "tile")
    assert run.changes == 0 and "parts of an image" in next(iter(run.refusals))


def test_images_of_free_size_stay_whole(weights: Weights) -> None:
    free = text(BODIES["a chain"], weights).replace("1, 3, 41, 37", "N, 3, 41, 37")
    assert run_pass(free, "tile").changes == 1
    assert run_pass(free.replace("41, 37", "H, W"), "tile").changes == 0


def test_a_budget_that_is_kept_already_changes_nothing(weights: Weights) -> None:
    run = run_pass(text(BODIES["a chain"], weights), Tile(10_000_000))
    assert run.changes == 0 and not run.refusals


def test_what_overflows_is_not_padding(weights: Weights) -> None:
    """A pool after an activation that is positive: zeros from a false halo would show."""
    body = (
        "a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Exp(a) c = AveragePool<kernel_shape = [3, 3],"
        " strides = [2, 2], pads = [1, 1, 1, 1], count_include_pad = 1>(b) y = GlobalMaxPool(c)"
    )
    inputs = [{"x": np.random.default_rng(0).uniform(-0.1, 0.1, (1, 3, 41, 37)).astype(np.float32)}]
    assert run_pass(text(body, weights), "tile", inputs=inputs).changes == 1
