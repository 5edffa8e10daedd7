"""Plans change no result: models run with every value in the arena, shared memory included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from graphopt import demo
from graphopt.cost.dims import Dims
from graphopt.errors import ExecutionError, ModelError
from graphopt.execute import Session, make_inputs
from graphopt.io import load
from graphopt.ir import infer_shapes, is_deterministic, nodes
from graphopt.memory.aliases import Kind
from graphopt.memory.graph_plan import GraphPlan, Options, plan_graph
from graphopt.memory.liveness import Pins
from graphopt.testing import model_inputs, models, parse_model
from graphopt.testing.arena import run_in_arena

DTYPES = ("float32", "int64", "bool", "float64", "int32", "uint8", "int8")
EVERY = (
    Options(),
    Options(reorder=False),
    Options(share=False, alignment=1),
    Options(alignment=1),
    Options(pins=Pins(inputs=True, outputs=True), alignment=16),
)


def plan_for(model: ir.Model, inputs: Mapping[str, Any], options: Options) -> GraphPlan:
    """A plan at the shapes that values really have with these inputs."""
    _, real = Session(model, observe_shapes=True).run_observed(inputs)
    given = {name: array.shape for name, array in inputs.items() if isinstance(array, np.ndarray)}
    dims = Dims(model, shapes={**real, **given})
    return plan_graph(model.graph, dims.known_shape, options)


def assert_same(model: ir.Model, inputs: Mapping[str, Any], options: Options) -> GraphPlan:
    """Run a model in its arena, and compare with a run in freely allocated memory."""
    plan = plan_for(model, inputs, options)
    expected = Session(model).run(inputs)
    for name, array in run_in_arena(model, plan, inputs).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert plan.any_order <= plan.peak <= plan.given_peak and plan.peak <= plan.lower_bound <= plan.arena
    return plan


@settings(max_examples=60, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@given(model=models(dtypes=DTYPES, specials=False, max_nodes=10))
def test_generated_models(model: ir.Model) -> None:
    hypothesis.assume(not model.functions and all(map(is_deterministic, nodes(model))))
    infer_shapes(model)
    inputs = model_inputs(model)[0]
    for options in EVERY:
        try:
            assert_same(model, inputs, options)
        except ModelError as error:
            hypothesis.assume("memory" not in error.message)  # no tensor, or of unknown shape
            raise
        except ExecutionError:
            hypothesis.reject()  # a node that runs only as part of its model


def run_text(text: str, **options: Any) -> GraphPlan:
    """A model with an input `x`, run in its arena."""
    model = parse_model(text)
    infer_shapes(model)
    return assert_same(model, model_inputs(model, special=False)[0], Options(**options))


def kinds(plan: GraphPlan) -> list[str]:
    return sorted(link.kind.value for link in plan.shared)


def test_a_chain_of_elementwise_nodes_takes_one_place() -> None:
    plan = run_text("g (float[64] x) => (float[64] y) { a = Relu(x) b = Neg(a) c = Exp(b) y = Sqrt(c) }")
    assert plan.arena == 256 and len(plan.boxes) == 1 and plan.optimal


def test_a_residual_is_added_into_what_dies() -> None:
    text = """g (float[4, 64] x, float[64, 64] w) => (float[4, 64] y) {
        a = MatMul(x, w) b = MatMul(a, w) c = Add(a, b) y = MatMul(c, w) }"""
    plan = run_text(text)
    assert plan.offsets["c"] in (plan.offsets["a"], plan.offsets["b"])


def test_views_are_free() -> None:
    text = """g (float[2, 32] x) => (float[1, 64] y) <int64[2] s = {1, 64}, int64[1] axis = {0}> {
        a = Relu(x) b = Reshape(a, s) c = Squeeze(b, axis) d = Unsqueeze(c, axis)
        e = Transpose<perm = [1, 0]>(d) f = Flatten<axis = 0>(e) y = Identity(f) }"""
    plan = run_text(text)
    assert plan.arena == 256 and kinds(plan) == ["view"] * 6


def test_concat_and_split_without_copies() -> None:
    text = """g (float[1, 16, 4] x) => (float[1, 32, 4] y) {
        a = Sin(x) b = Cos(x) c = Concat<axis = 1>(a, b) d, e = Split<axis = 1, num_outputs = 2>(c)
        f = Sin(d) h = Cos(e) y = Concat<axis = 1>(f, h) }"""
    plan = run_text(text)
    assert kinds(plan).count("concat") == 4 and kinds(plan).count("split") == 2


@pytest.mark.parametrize(
    "body",
    [
        "a = Sin(x) y = Concat<axis = 0>(a, a)",  # one value cannot be in two places
        "a, b = Split<axis = 0, num_outputs = 2>(x) y = Concat<axis = 0>(b, a)",
        "a = Sin(x) b = Concat<axis = 0>(a, x) c = Concat<axis = 0>(x, a) y = Sub(b, c)",
        "a = Sin(x) b, c = Split<axis = 0, num_outputs = 2>(a) d = Neg(b) y = Concat<axis = 0>(d, c, a)",
        "i = Constant<value_ints = [1]>() j = Constant<value_ints = [-1]>() z = Constant<value_ints = [0]>()"
        " a = Sin(x) b = Slice(a, i, j, z) d = Neg(b) y = Concat<axis = 0>(d, a, b)",
        "a = Sin(x) b = Identity(a) c = Neg(a) y = Concat<axis = 0>(b, c)",
        "a = Sin(x) b, c = Split<axis = 0, num_outputs = 2>(a) d = Add(b, b) e = Sum(a, x) "
        "y = Concat<axis = 0>(d, e)",
    ],
)
@pytest.mark.parametrize("alignment", [1, 64])
def test_what_would_be_two_values_at_once_is_copied(body: str, alignment: int) -> None:
    run_text(f"g (float[32] x) => (float[N] y) {{ {body} }}", alignment=alignment)


def test_an_operand_that_is_read_elsewhere_is_not_overwritten() -> None:
    text = """g (float[32] x) => (float[32] y, float[32] z) { a = Sin(x) y = Neg(a) z = Exp(a) }"""
    plan = run_text(text)
    assert plan.offsets["y"] != plan.offsets["z"]
    text = """g (float[4, 8] x) => (float[4, 8] y) <int64[1] zero = {0}, int64[1] one = {1}> {
        a = Sin(x) b, c, d, e = Split<axis = 0, num_outputs = 4>(a) y = Add(a, d) }"""
    plan = run_text(text, alignment=1)
    assert plan.offsets["y"] != plan.offsets["a"]


def test_bodies_stand_as_scratch_and_keep_what_they_read_alive() -> None:
    text = """g (float[32] x, bool c) => (float[32] y) {
        a = Sin(x) b = Cos(x)
        d = If(c) <then_branch = t () => (float[32] t) { u = Exp(a) v = Exp(u) t = Add(u, v) },
            else_branch = e () => (float[32] f) { f = Neg(b) }>
        y = Exp(d) }"""
    plan = run_text(text)
    assert sorted(each.arena for each in plan.bodies.values()) == [128, 256]
    assert sorted(box.size for box in plan.boxes if not box.values) == [256]


def test_pins_keep_memory_for_the_whole_run() -> None:
    text = "g (float[64] x) => (float[64] y) { a = Relu(x) b = Neg(a) y = Exp(b) }"
    plan = run_text(text, pins=Pins(inputs=True, outputs=True))
    assert {(box.lower, box.upper) for box in plan.boxes if box.name in "xy"} == {(0, 3)}
    assert plan.arena == 768


OVERLAPS = (
    ("Conv<group = 4, pads = [1, 1, 1, 1]>(a, w)", (4, 1, 3, 3)),
    ("Conv<group = 4, strides = [2, 2], pads = [1, 1, 1, 1]>(a, w)", (4, 1, 3, 3)),
    ("Conv<group = 2, dilations = [2, 2], pads = [2, 2, 2, 2]>(a, w)", (4, 2, 3, 3)),
    ("Conv<strides = [2, 1]>(a, w)", (2, 4, 2, 2)),
    ("MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a)", (1,)),
    ("AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(a)", (1,)),
)


@pytest.mark.parametrize(("node", "shape"), OVERLAPS, ids=[node for node, _ in OVERLAPS])
def test_windows_write_behind_where_they_read(node: str, shape: tuple[int, ...]) -> None:
    text = f"""g (float[2, 4, 8, 1] x, float{list(shape)} w) => (float y)
        <int64[4] s = {{2, 4, 8, 8}}, int64[4] axes = {{0, 1, 2, 3}}> {{
        a = Expand(x, s) b = {node} y = ReduceSum<keepdims = 0>(b, axes) }}"""
    plan = run_text(text, overlap=True, alignment=4)
    apart = run_text(text, alignment=4)
    assert [link.kind for link in plan.shared] == [Kind.OVERLAP] and plan.arena < apart.arena


def test_the_demo_network() -> None:
    model = load(demo.load().model)
    infer_shapes(model)
    inputs = make_inputs(model, shapes={"image": [2, 1, 8, 8]})[0].values
    for options in (Options(), Options(alignment=1, overlap=True), Options(reorder=False, share=False)):
        assert_same(model, inputs, options)


def test_values_that_overflow_together_are_named() -> None:
    model = parse_model(
        "g (float[X] x) => (float[Y] y) { a = Neg(x) large = Concat<axis = 0>(a, a) y = Neg(large) }"
    )
    dims = Dims(model, {"X": 2**59, "Y": 2**60})
    infer_shapes(model)
    with pytest.raises(ModelError, match="'large'"):
        plan_graph(model.graph, dims.known_shape, Options(share=False))
