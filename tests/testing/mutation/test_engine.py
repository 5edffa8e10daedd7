"""Mutants are other models that still run, the same for equal seeds; what must mean the same does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute.compare import compare
from graphopt.execute.session import Session
from graphopt.io import to_proto
from graphopt.ir import static_shape, verify
from graphopt.testing import parse_model
from graphopt.testing.inputs import INPUTS_KEY
from graphopt.testing.mutation import CLAIMS, DONE, MUTATIONS, mutate

TEXT = """
    agraph (float[N, 3, 8, 8] x, bool deep) => (float[N, 4] y, float[N, 4] z)
    <float[4, 3, 1, 2] w = {1,-2,3,-4,5,-6,7,-8,9,-1,2,-3,4,-5,6,-7,8,-9,1,-2,3,-4,5,-6},
     float[4] b = {1, 2, 3, 4}, float[4] c = {1, 1, 1, 1}, float one = {1},
     int64[2] flat = {0, -1}, int64[2] axes = {2, 3}, float[4, 4] m = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7}>
    {
        conv = Conv <pads = [0, 1, 0, 1], kernel_shape = [1, 2]> (x, w, b)
        relu = LeakyRelu <alpha = 0.1> (conv)
        sum = Add(relu, conv)
        half = Constant <value = float {0.5}> ()
        scaled = Mul(sum, half)
        mean = ReduceMean <keepdims = 1> (scaled, axes)
        rows = Reshape <allowzero = 0> (mean, flat)
        product = Gemm <alpha = 1.0, transB = 1> (rows, m, c)
        soft = Softmax <axis = 1> (product)
        y = If (deep) <
            then_branch = then () => (float[N, 4] t) { t = Mul(soft, soft) },
            else_branch = else () => (float[N, 4] e) { e = Sub(soft, one) }
        >
        z = Clip(product)
    }
"""

KEEPS_NUMBERS = {
    "claim-falsely", "duplicate-node", "expand-constant", "make-constant-node", "make-input",
    "make-output", "open-sizes", "wrap-in-function", "wrap-in-if", "wrap-in-loop",
}  # fmt: skip
"""Mutations that change how a model is written, not what it computes."""
SEEDS = range(12)


@pytest.fixture(scope="module")
def model() -> ir.Model:
    return parse_model(TEXT)


def run(model: ir.Model, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = Session(model, fallback=False)
    return session.run({name: feed[name] for name in session.input_names})


@pytest.mark.parametrize("kind", [kind for kind in MUTATIONS if kind != "fix-sizes"])
def test_each_kind_gives_another_model_that_runs(model: ir.Model, kind: str) -> None:
    before = to_proto(model)
    made = 0
    for seed in SEEDS:
        mutant = mutate(model, seed, kinds=[kind])
        verify(mutant)
        assert to_proto(model) == before
        assert mutant.meta[INPUTS_KEY]
        for feed in mutant.meta[INPUTS_KEY]:
            outputs = run(mutant, feed)
            if kind in KEEPS_NUMBERS:
                expected = run(model, {"deep": np.array(True), **feed})
                shared = {name: array for name, array in expected.items() if name in outputs}
                assert all(each.equal for each in compare(shared, outputs)), mutant.meta[DONE]
        if mutant.meta[DONE]:
            made += 1
            assert [text.partition(":")[0] for text in mutant.meta[DONE]] == [kind]
            assert to_proto(mutant) != before
    assert made, f"{kind} never fits"


def test_sizes_are_fixed_where_no_branch_may_have_others(model: ir.Model) -> None:
    text = "agraph (float[N, 3] x, float[M, 3] z) => (float[K, 3] y) { y = Concat <axis = 0> (x, z) }"
    feeds = [{"x": np.ones((rows, 3), np.float32), "z": np.ones((2, 3), np.float32)} for rows in (4, 5)]
    mutants = [mutate(parse_model(text), seed, inputs=feeds, kinds=["fix-sizes"]) for seed in SEEDS]
    shapes = {tuple(static_shape(value) for value in mutant.graph.inputs) for mutant in mutants}
    assert shapes == {((4, 3), None), (None, (2, 3)), ((4, 3), (2, 3))}
    for mutant in mutants:
        fixed = static_shape(mutant.graph.inputs[0]) is not None
        assert len(mutant.meta[INPUTS_KEY]) == (1 if fixed else 2)
    assert not mutate(model, 0, kinds=["fix-sizes"]).meta[DONE]


@pytest.mark.parametrize("seed", range(5))
def test_equal_seeds_give_equal_models(model: ir.Model, seed: int) -> None:
    one, other = (mutate(model, seed, count=3) for _ in range(2))
    assert to_proto(one) == to_proto(other)
    assert one.meta[DONE] == other.meta[DONE]


def test_other_seeds_give_other_models(model: ir.Model) -> None:
    made = {to_proto(mutate(model, seed, count=2)).SerializeToString(deterministic=True) for seed in SEEDS}
    assert len(made) > len(SEEDS) // 2


def test_inputs_of_the_caller_are_kept_and_extended(model: ir.Model) -> None:
    feed = {"x": np.ones((5, 3, 8, 8), np.float32), "deep": np.array(False)}
    mutant = mutate(model, 3, inputs=[feed], kinds=["make-input"])
    (made,) = mutant.meta[INPUTS_KEY]
    assert made["x"].shape == (5, 3, 8, 8)
    assert set(made) <= {value.name for value in mutant.graph.inputs}


def test_false_claims_are_named(model: ir.Model) -> None:
    mutant = mutate(model, 1, kinds=["claim-falsely"])
    (name,) = mutant.meta[CLAIMS]
    assert [each.name for each in to_proto(mutant).graph.value_info] == [name]
    assert mutate(model, 1, kinds=["make-output"]).meta[CLAIMS] == []


def test_an_unknown_kind_is_an_error(model: ir.Model) -> None:
    with pytest.raises(KeyError):
        mutate(model, 0, kinds=["nothing"])
