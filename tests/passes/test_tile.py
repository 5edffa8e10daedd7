"""tile: the first nodes on parts of the image, the same numbers in less memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

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
    "padding by itself": 'a = Conv<auto_pad = "SAME_UPPER">(x, w) b = Conv<auto_pad = "SAME_LOWER">(a, v)'
    " d = MaxPool<kernel_shape = [4, 4], strides = [4, 4], ceil_mode = 1>(b) y = GlobalAveragePool(d)",
    "up again": "a = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w)"
    ' b = Resize<mode = "linear">(a, , r) c = Conv(b, v)'
    " d = MaxPool<kernel_shape = [4, 4], strides = [4, 4]>(c) y = GlobalAveragePool(d)",
    "not from the start": "a = Softmax<axis = 3>(x) b = Conv(a, w) c = Conv(b, v)"
    " d = MaxPool<kernel_shape = [4, 4], strides = [4, 4]>(c) y = GlobalAveragePool(d)",
    "constants": "a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Mul(a, s) c = PRelu(b, s)"
    " d = MaxPool<kernel_shape = [4, 4], strides = [4, 4]>(c) y = GlobalAveragePool(d)",
}


def text(body: str, weights: Weights) -> str:
    given = weights(w=(8, 3, 3, 3), v=(8, 8, 3, 3), s=(8, 1, 1))
    given = given.replace("<", "<float[4] r = {1, 1, 2, 2}, ", 1)
    return f"g (float[1, 3, 41, 37] x) => (float[A, B, C, D] y) {given} {{ {body} }}"


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_less_memory_and_the_same_numbers(body: str, weights: Weights) -> None:
    run = run_pass(text(body, weights), "tile")
    before, after = arenas(run)
    assert run.changes and after < 0.75 * before
    assert "Slice" in run.ops and "Concat" in run.ops


def test_a_budget_takes_the_fewest_macs_that_keep_it(weights: Weights) -> None:
    macs = []
    for budget in (0, 90_000, 60_000):
        run = run_pass(text(BODIES["a chain"], weights), Tile(budget))
        before, after = arenas(run)
        assert budget == 0 or after <= budget < before
        macs.append(estimate(run.model).macs)
    assert macs[1] <= macs[2] <= macs[0]


def test_what_reads_all_of_an_image_ends_a_region(weights: Weights) -> None:
    """Squeeze-and-excitation: the scale of each place hangs on all places."""
    body = "a = Conv(x, w) p = GlobalAveragePool(a) b = Mul(a, p) y = Conv(b, v)"
    run = run_pass(text(body, weights), "tile")
    assert "GlobalAveragePool" in run.ops and run.ops.count("GlobalAveragePool") == 1


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(x) y = GlobalAveragePool(a)",  # in place as it is
        "a = Conv(x, w) p = GlobalAveragePool(a) b = Mul(a, p) y = GlobalAveragePool(b)",
    ],
)
def test_must_not_apply(body: str, weights: Weights) -> None:
    run = run_pass(text(body, weights), "tile")
    assert run.changes == 0 and "no further change" in next(iter(run.refusals))


def test_images_of_free_size_stay_whole(weights: Weights) -> None:
    free = text(BODIES["a chain"], weights).replace("1, 3, 41, 37", "N, 3, 41, 37")
    assert run_pass(free, "tile").changes == 1
    run = run_pass(free.replace("41, 37", "H, W"), "tile")
    assert run.changes == 0 and "sizes of inputs are free" in next(iter(run.refusals))


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


@st.composite
def networks(draw: DrawFn) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Nodes on an image of 3 channels, and the shapes of their weights."""
    nodes: list[str] = []
    weights: dict[str, tuple[int, ...]] = {}
    last, side = "x", [draw(st.integers(12, 30)), draw(st.integers(12, 30))]
    size = list(side)
    for index in range(draw(st.integers(2, 6))):
        made = f"v{index}"
        kernel = [draw(st.integers(1, 3)) for _ in side]
        dilation = draw(st.integers(1, 2))
        stride = [draw(st.integers(1, 3)) for _ in side]
        pads = [draw(st.integers(0, edge - 1)) for edge in (*kernel, *kernel)]
        kind = draw(
            st.sampled_from(
                ["Conv", "Conv", "MaxPool", "AveragePool", "Relu", "Residual", "Resize", "ConvTranspose"]
            )
        )
        extent = [(edge - 1) * (dilation if kind == "Conv" else 1) + 1 for edge in kernel]
        after = [
            (size[axis] + pads[axis] + pads[2 + axis] - extent[axis]) // stride[axis] + 1 for axis in range(2)
        ]
        given = f"pads = {pads}, strides = {stride}"
        if kind == "Relu":
            nodes.append(f"{made} = Relu({last})")
        elif kind == "Residual":
            weights[f"w{index}"] = (3, 3, 3, 3)
            nodes.append(f"c{index} = Conv<pads = [1, 1, 1, 1]>({last}, w{index})")
            nodes.append(f"{made} = Add({last}, c{index})")
        elif kind == "Resize":
            if max(size) > 24:
                continue
            factor, mode = draw(
                st.sampled_from([(2, "nearest"), (3, "nearest"), (2, "linear"), (4, "linear")])
            )
            nodes.append(f"s{index} = Constant<value_floats = [1.0, 1.0, {factor}.0, {factor}.0]>()")
            nodes.append(f'{made} = Resize<mode = "{mode}">({last}, , s{index})')
            size = [factor * each for each in size]
        elif kind == "ConvTranspose":
            strides = [min(step, edge) for step, edge in zip(stride, kernel, strict=True)]
            wider = [
                (size[axis] - 1) * strides[axis] + kernel[axis] - pads[axis] - pads[2 + axis]
                for axis in range(2)
            ]
            if max(wider) > 60 or min(wider) < 2:
                continue
            size = wider
            weights[f"w{index}"] = (3, 3, *kernel)
            nodes.append(f"{made} = ConvTranspose<pads = {pads}, strides = {strides}>({last}, w{index})")
        elif min(after) < 2:
            continue
        else:
            sides, size = size, after
            if kind == "Conv" and dilation == 1 and draw(st.booleans()):
                size = [-(-before // step) for before, step in zip(sides, stride, strict=True)]
                way = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
                weights[f"w{index}"] = (3, 3, *kernel)
                nodes.append(f'{made} = Conv<auto_pad = "{way}", strides = {stride}>({last}, w{index})')
            elif kind == "Conv":
                groups = draw(st.sampled_from([1, 3]))
                weights[f"w{index}"] = (3, 3 // groups, *kernel)
                given += f", dilations = {[dilation] * 2}, group = {groups}"
                nodes.append(f"{made} = Conv<{given}>({last}, w{index})")
            else:
                nodes.append(f"{made} = {kind}<kernel_shape = {kernel}, {given}>({last})")
        last = made
    head = f"g (float[1, 3, {side[0]}, {side[1]}] x) => (float[A, B, C, D] y)"
    return f"{head} WEIGHTS {{ {' '.join(nodes)} y = GlobalAveragePool({last}) }}", weights


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(network=networks())
def test_any_windows(network: tuple[str, dict[str, tuple[int, ...]]], weights: Weights) -> None:
    body, shapes = network
    run_pass(body.replace("WEIGHTS", weights(**shapes) if shapes else ""), "tile", rtol=1e-4)
