"""fit-memory: tiles, splits and recomputation together; the same numbers, and never a higher peak."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from graphopt.cost import estimate
from graphopt.cost.dims import Dims
from graphopt.errors import ModelError
from graphopt.execute import Session
from graphopt.ir import infer_shapes, is_deterministic, nodes
from graphopt.memory.graph_plan import Options, plan_graph
from graphopt.passes.memory._budget import NOTHING_LEFT
from graphopt.passes.memory.fit_memory import FitMemory
from graphopt.testing import model_inputs, run_pass
from graphopt.testing.arena import run_in_arena
from graphopt.testing.strategies import models

Weights = Callable[..., str]


def peak(model: ir.Model) -> int:
    """Bytes in the order nodes stand in."""
    infer_shapes(model)
    return plan_graph(model.graph, Dims(model).known_shape, Options(reorder=False)).peak


U_NET = """g (float[1, 1, 32, 32] x) => (float[A, B, C, D] y) WEIGHTS {
    a = Conv<pads = [1, 1, 1, 1]>(x, w) b = Relu(a) c = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(b)
    d = Conv<pads = [1, 1, 1, 1]>(c, v) e = Relu(d) f = ConvTranspose<strides = [2, 2]>(e, u)
    h = Concat<axis = 1>(f, b) i = Conv<pads = [1, 1, 1, 1]>(h, o) j = Relu(i) y = Conv(j, k) }"""


def u_net(weights: Weights) -> str:
    given = weights(w=(8, 1, 3, 3), v=(8, 8, 3, 3), u=(8, 8, 2, 2), o=(8, 16, 3, 3), k=(1, 8, 1, 1))
    return U_NET.replace("WEIGHTS", given)


def test_a_value_read_far_behind(weights: Weights) -> None:
    """The skip of a U-Net is never whole: what is made of a tile of it is made with the tile."""
    run = run_pass(u_net(weights), "fit-memory")
    before, after = peak(run.before), peak(run.model)
    assert after < before / 4
    assert estimate(run.before).macs < estimate(run.model).macs < 1.5 * estimate(run.before).macs


@pytest.mark.parametrize("share", [0.75, 0.5])
def test_a_budget_is_kept_and_no_more_is_done(share: float, weights: Weights) -> None:
    whole = run_pass(u_net(weights), FitMemory(1 << 30))
    most = int(share * peak(whole.model))
    run = run_pass(u_net(weights), FitMemory(most))
    assert peak(run.model) <= most and not run.refusals
    least = run_pass(u_net(weights), FitMemory(0))
    assert estimate(run.model).macs <= estimate(least.model).macs


def test_parts_run_in_the_arena_that_is_planned_for_them(weights: Weights) -> None:
    run = run_pass(u_net(weights), FitMemory(peak(run_pass(u_net(weights), FitMemory(1 << 30)).model) // 3))
    infer_shapes(run.model)
    plan = plan_graph(run.model.graph, Dims(run.model).known_shape)
    inputs = model_inputs(run.model, special=False)[0]
    expected = Session(run.model).run(inputs)
    found = run_in_arena(run.model, plan, inputs)
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-5, atol=1e-4)


@settings(max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@given(model=models(specials=False, max_nodes=10))
def test_generated_models(model: ir.Model) -> None:
    hypothesis.assume(not model.functions and all(map(is_deterministic, nodes(model))))
    try:
        before = peak(model)
    except ModelError:
        hypothesis.reject()
    run = run_pass(model, "fit-memory", rtol=1e-4)
    assert peak(run.model) <= before and (not run.changes or peak(run.model) < before)


def test_nothing_is_done_that_only_lowers_the_peak_of_whole_values() -> None:
    """Slices lie in what they are taken from, and parts that nobody reads any more count no longer."""
    run = run_pass(
        """g (float[15, 6, 3] x) => (float[15, 6, 3] sum, float[8, 6, 3] last, float[7, 1, 3] product)
        <int64[1] none = {0}, int64[1] one = {1}, int64[1] seven = {7}, int64[1] end = {15},
         float[1, 6] row = {1, 2, 3, 4, 5, 6}> {
            sum = Add(x, x) a = Slice(x, none, seven, none) b = Slice(x, seven, end, none)
            c = Relu(a) last = Relu(b) product = MatMul(row, c) }""",
        "fit-memory",
    )
    assert not run.changes and run.refusals == {NOTHING_LEFT: 1}
