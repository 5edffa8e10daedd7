"""Channels that no output depends on go; numbers stay, and constants go where they are added."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.ir import static_shape
from graphopt.passes.pruning.drop_dead_channels import DropDeadChannels
from graphopt.pruning.dead import UNEVEN
from graphopt.testing import PassRun, parse_model, run_pass

NAME = "drop-dead-channels"


def model(
    body: str, inputs: str = "float[1,2,6,6] x", outputs: str = "float[n,c,h,w] y", **weights: np.ndarray
) -> ir.Model:
    """A graph with weights that are arrays."""
    declared = ", ".join(
        f"{'int64' if array.dtype.kind == 'i' else 'float'}[{','.join(map(str, array.shape))}] {name} = "
        f"{{{', '.join(map(str, array.ravel().tolist()))}}}"
        for name, array in weights.items()
    )
    return parse_model(f"agraph ({inputs}) => ({outputs}) <{declared}> {{ {body} }}")


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).round(3)


def without(array: np.ndarray, axis: int, *places: int) -> np.ndarray:
    """The array with zeros at places of an axis."""
    made = array.copy()
    index: list[slice | list[int]] = [slice(None)] * array.ndim
    index[axis] = list(places)
    made[tuple(index)] = 0.0
    return made


def left(run: PassRun, name: str) -> tuple[int, ...] | None:
    return static_shape(run.model.graph.initializers[name])


CHAIN = "a = Conv(x, w, b) r = Relu(a) y = Conv {} (r, v)"


def test_channels_that_are_zero_go() -> None:
    given = model(
        CHAIN.format(""),
        w=without(random(5, 2, 1, 1), 0, 1, 3), b=without(random(5), 0, 1, 3), v=random(3, 5, 3, 3),
    )  # fmt: skip
    run = run_pass(given, NAME)
    assert left(run, "w") == (3, 2, 1, 1) and left(run, "v") == (3, 3, 3, 3)
    assert run.hits == {"channels": 2}


@pytest.mark.parametrize(("dead", "kept"), [(3, 24), (4, 20), (6, 20), (9, 16)])
@pytest.mark.parametrize("between", ["Relu(a)", "Conv <group = 24> (a, d)"])
def test_a_multiple_stays_where_convolutions_read_many_channels(between: str, dead: int, kept: int) -> None:
    gone = range(2, 2 + dead)
    given = model(
        f"a = Conv(x, w, b) r = {between} y = Conv(r, v)", v=random(3, 24, 1, 1), d=random(24, 1, 3, 3),
        w=without(random(24, 2, 1, 1), 0, *gone), b=without(random(24), 0, *gone),
    )  # fmt: skip
    run = run_pass(given.clone(), DropDeadChannels(align=4))
    assert left(run, "w") == (kept, 2, 1, 1)
    assert run.refusals == ({UNEVEN: dead % 4} if dead % 4 else {})
    assert run_pass(run.model, DropDeadChannels(align=4)).hits == {}
    assert left(run_pass(given, NAME), "w") == (24 - dead, 2, 1, 1)


@pytest.mark.parametrize("channels", [12, 23])
def test_few_channels_and_uneven_ones_all_go(channels: int) -> None:
    given = model(
        CHAIN.format(""), w=without(random(channels, 2, 1, 1), 0, 3), b=without(random(channels), 0, 3),
        v=random(3, channels, 1, 1),
    )  # fmt: skip
    assert left(run_pass(given, DropDeadChannels(align=4)), "w") == (channels - 1, 2, 1, 1)


def test_an_alignment_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="align=0"):
        DropDeadChannels(align=0)


def test_channels_that_nothing_reads_go() -> None:
    given = model(
        CHAIN.format("<pads = [1,1,1,1]>"),
        w=random(5, 2, 1, 1), b=random(5), v=without(random(3, 5, 3, 3), 1, 0, 4),
    )  # fmt: skip
    assert left(run_pass(given, NAME), "w") == (3, 2, 1, 1)


def test_a_constant_goes_into_the_bias() -> None:
    given = model(CHAIN.format(""), w=without(random(5, 2, 1, 1), 0, 2), b=np.ones(5), v=random(3, 5, 3, 3))
    run = run_pass(given, NAME)
    assert left(run, "w") == (4, 2, 1, 1)
    assert len(run.model.graph.node(-1).inputs) == 3


def test_of_constants_before_padding_one_stays_for_all() -> None:
    given = model(
        CHAIN.format("<pads = [1,1,1,1]>"),
        w=without(random(5, 2, 1, 1), 0, 0, 2, 4), b=np.asarray([1.0, 2, 3, 4, 5]), v=random(3, 5, 3, 3),
    )  # fmt: skip
    run = run_pass(given, NAME)
    assert left(run, "w") == (3, 2, 1, 1)
    assert run_pass(run.model, NAME).hits == {}


def test_a_scale_of_zero_makes_a_constant() -> None:
    given = model(
        "a = Conv(x, w) n = BatchNormalization(a, s, b, m, v) r = HardSigmoid(n) y = Conv(r, u)",
        w=random(4, 2, 1, 1), s=np.asarray([1.0, 0, 2, 0]), b=random(4), m=random(4), v=np.ones(4),
        u=random(2, 4, 1, 1),
    )  # fmt: skip
    run = run_pass(given, NAME)
    assert left(run, "w") == (2, 2, 1, 1) and left(run, "s") == (2,)


def test_a_residual_sum_is_dead_only_where_both_sides_are() -> None:
    body = "a = Conv(x, w) b = Conv(x, u) s = Add(a, b) y = Conv(s, v)"
    w, v = without(random(4, 2, 1, 1), 0, 0, 1), random(2, 4, 1, 1)
    one = run_pass(model(body, w=w, v=v, u=without(random(4, 2, 1, 1, seed=1), 0, 2)), NAME)
    assert one.hits == {}
    both = run_pass(model(body, w=w, v=v, u=without(random(4, 2, 1, 1, seed=1), 0, 1, 2)), NAME)
    assert left(both, "w") == left(both, "u") == (3, 2, 1, 1)


def test_a_matmul_without_a_bias_gets_one_added() -> None:
    given = model(
        "a = Gemm <transB = 1> (x, w, b) s = Sigmoid(a) y = MatMul(s, v)",
        "float[3,4] x", "float[n,m] y",
        w=without(random(6, 4), 0, 5), b=random(6), v=random(6, 2),
    )  # fmt: skip
    run = run_pass(given, NAME)
    assert run.ops == ["Gemm", "Sigmoid", "MatMul", "Add"] and left(run, "v") == (5, 2)


@pytest.mark.parametrize("op", ["GRU", "LSTM", "RNN"])
def test_a_state_that_never_moves_goes(op: str) -> None:
    gates, candidate = {"GRU": (3, 2), "LSTM": (4, 3), "RNN": (1, 0)}[op]
    dead = candidate * 3 + 1
    given = model(
        f"a = {op} <hidden_size = 3> (x, w, r, b) s = Squeeze(a, one) y = MatMul(s, v)",
        "float[5,1,2] x", "float[5,1,4] y",
        w=without(random(1, gates * 3, 2), 1, dead), r=without(random(1, gates * 3, 3), 1, dead),
        b=without(random(1, gates * 6), 1, dead, gates * 3 + dead), v=random(3, 4), one=np.asarray([1]),
    )  # fmt: skip
    run = run_pass(given, NAME)
    assert left(run, "r") == (1, gates * 2, 2)


def test_channels_of_an_output_stay() -> None:
    given = model("y = Conv(x, w)", w=without(random(4, 2, 1, 1), 0, 1))
    assert run_pass(given, NAME).hits == {}


def test_where_all_are_dead_one_stays() -> None:
    given = model(CHAIN.format(""), w=np.zeros((5, 2, 1, 1)), b=np.zeros(5), v=random(3, 5, 3, 3))
    run = run_pass(given, NAME)
    assert left(run, "w") == (1, 2, 1, 1)


def test_weights_that_two_read_are_not_folded_into() -> None:
    given = model(
        "a = Conv(x, w, b) r = Relu(a) c = Conv(r, v) d = Conv(a, v) y = Add(c, d)",
        w=without(random(5, 2, 1, 1), 0, 2), b=np.ones(5), v=random(3, 5, 1, 1),
    )  # fmt: skip
    run = run_pass(given, NAME)
    assert run.hits == {} and any("others too" in reason for reason in run.refusals)
