"""`prune-blocks`: residual branches go whole, those first that the outputs miss least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.cost import estimate
from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY
from graphopt.ir import infer_shapes
from graphopt.passes.pruning.prune_blocks import PruneBlocks
from graphopt.pipeline import Outcome, Pass
from graphopt.pruning.blocks import residual_blocks
from graphopt.testing import parse_model

Prune = Callable[..., Outcome]
Error = Callable[[ir.Model, ir.Model], float]

RNG = np.random.default_rng(5)
SAMPLES = [{"x": RNG.normal(size=(1, 8, 6, 6)).astype(np.float32)} for _ in range(24)]
SIZES: dict[str, tuple[int, ...]] = {
    "first": (8, 8, 3, 3),
    "a1": (16, 8, 1, 1),
    "a2": (8, 16, 1, 1),
    "b1": (16, 8, 1, 1),
}
SIZES |= {"b2": (8, 16, 1, 1), "c": (8, 8, 1, 1), "last": (8, 5)}
NETWORK = """
    s = Conv<pads = [1, 1, 1, 1]>(x, first)
    p = Conv(s, a1) pr = Relu(p) q = Conv(pr, a2) t = Add(s, q)
    v = Conv(t, b1) vr = Relu(v) w = Conv(vr, b2) u = Add(w, t)
    m = GlobalAveragePool(u) f = Flatten(m) y = MatMul(f, last)
"""


def network(body: str = NETWORK, weak: str = "a2", scale: float = 0.02) -> ir.Model:
    """Two residual blocks, one of which adds little."""
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in SIZES.items())
    random = np.random.default_rng(7)
    weights = {name: random.normal(size=shape) / np.sqrt(np.prod(shape[1:])) for name, shape in SIZES.items()}
    weights[weak] = weights[weak] * scale
    model = parse_model(
        f"agraph (float[1,8,6,6] x, {declared}) => (float[1,5] y) {{ {body} }}",
        weights={name: array.astype(np.float32) for name, array in weights.items()},
    )
    infer_shapes(model)
    return model


@pytest.fixture
def pruned(outcome_of: Callable[[Pass, ir.Model], Outcome]) -> Prune:
    """`pruned(model, **options)`: run the pass; the outcome."""

    def prune(model: ir.Model, **options: Any) -> Outcome:
        model.meta[DATA_KEY] = SAMPLES
        return outcome_of(PruneBlocks(**options), model)

    return prune


@pytest.mark.parametrize(("weak", "left"), [("a2", ["s", "v", "w"]), ("b2", ["s", "p", "q"])])
def test_the_block_that_adds_least_goes(weak: str, left: list[str], pruned: Prune, error: Error) -> None:
    model, whole = network(weak=weak), network(weak=weak)
    assert pruned(model, rate=0.3).changes.count == 1
    assert [node.outputs[0].name for node in model.graph if node.op_type == "Conv"] == left
    assert estimate(model).macs < estimate(whole).macs
    assert error(whole, model) < 0.01


def test_what_follows_makes_up_for_a_block(pruned: Prune, error: Error) -> None:
    whole, fitted, left = (network(weak="b2", scale=0.3) for _ in range(3))
    pruned(fitted, rate=0.3)
    pruned(left, rate=0.3, compensate=False)
    assert error(whole, fitted) < error(whole, left)


def test_both_go_where_the_rate_allows(pruned: Prune) -> None:
    model = network()
    assert pruned(model, rate=0.9, most=10.0).changes.count == 2
    assert [node.op_type for node in model.graph] == ["Conv", "GlobalAveragePool", "Flatten", "MatMul"]
    assert set(model.graph.initializers) & {"a1", "a2", "b1", "b2"} == set()


def test_a_branch_may_be_one_of_several_terms_of_a_sum(pruned: Prune) -> None:
    text = NETWORK.replace("t = Add(s, q)", "t = Sum(last_bias, s, q)")
    model = network("last_bias = Constant<value = float[8,1,1] {0.1,0,0,0,0,0,0,0}>() " + text)
    assert pruned(model, rate=0.3).changes.count == 1
    assert "Sum" not in [node.op_type for node in model.graph]


def test_why_nothing_goes_is_told(pruned: Prune) -> None:
    model = network("m = GlobalAveragePool(x) f = Flatten(m) y = MatMul(f, last)")
    refusals = pruned(model).changes.refusals
    assert refusals == {"no branch with weights starts from the value that it is added to": 1}


def test_a_block_without_which_outputs_move_far_stays(pruned: Prune) -> None:
    outcome = pruned(network(scale=1.0), rate=0.9, most=1e-3)
    assert not outcome.changes.count
    assert outcome.changes.refusals == {"the outputs move too far without it": 2}


def test_a_block_larger_than_the_rate_stays(pruned: Prune) -> None:
    outcome = pruned(network(), rate=0.01)
    assert outcome.changes.refusals == {"it takes a larger share of the MACs than is to go": 2}


def test_a_second_run_changes_nothing(pruned: Prune) -> None:
    model = network()
    assert pruned(model, rate=0.3).changes.count
    assert not pruned(model, rate=0.3).changes.count


@pytest.mark.parametrize(
    "body",
    [
        "s = Conv(x, c) t = Add(x, s) m = GlobalAveragePool(t) n = Add(m, s) f = Flatten(m)"
        " y = MatMul(f, last)",
        "s = Conv(x, c) k = Relu(x) r = Mul(s, k) z = Sigmoid(k) t = Add(z, r) m = GlobalAveragePool(t)"
        " f = Flatten(m) y = MatMul(f, last)",
        "s = GlobalAveragePool(x) k = Conv(s, c) t = Add(x, k) m = GlobalAveragePool(t) f = Flatten(m)"
        " y = MatMul(f, last)",
        "s = Relu(x) t = Add(x, s) m = GlobalAveragePool(t) f = Flatten(m) y = MatMul(f, last)",
    ],
    ids=["the branch is read elsewhere", "the branch reads more", "broadcast, so it is one", "no weights"],
)
def test_what_is_a_block(body: str) -> None:
    found = residual_blocks(network(body))
    names = [block.name for block in found]
    assert names == (["t"] if "GlobalAveragePool(x)" in body else [])


@pytest.mark.parametrize("options", [{"rate": 0.0}, {"rate": 1.0}, {"most": 0.0}, {"rows": 0}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="prune-blocks"):
        PruneBlocks(**options)


def test_data_are_needed() -> None:
    with pytest.raises(UsageError, match="measured on calibration data"):
        PruneBlocks().call(network())
