"""drop-zero-states: states that are zero by any spelling go; all others, and absent ones, stay."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

LSTM = """g (float[S,N,2] x, float[1,12,2] w, float[1,12,3] r, float[1,N,3] given) => (float[S,1,N,3] y)
<int64[1] one = {{1}}, int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[1] size = {{3}},
 int64 axis = {{1}}> {{
    s = Shape(x) n = Gather<axis = 0>(s, axis) m = Unsqueeze(n, zero)
    shape = Concat<axis = 0>({layers}, m, size)
    {states}
    y = LSTM<hidden_size = 3>(x, w, r, , , h, c) }}"""


def lstm(states: str, layers: str = "one") -> str:
    return LSTM.format(states=states, layers=layers)


@pytest.mark.parametrize(
    "text",
    [
        lstm("h = ConstantOfShape(shape) c = Identity(h)"),
        lstm("h = ConstantOfShape<value = float[1] {0.0}>(shape) c = ConstantOfShape(shape)"),
        lstm(
            "all = ConstantOfShape(shape) h = Slice(all, zero, one, zero) c = Slice(all, one, two, zero)",
            "two",
        ),
        lstm("f = Constant<value = float {0.0}>() h = Expand(f, shape) c = Expand(f, shape)"),
    ],
)
def test_zero_states_go_with_the_chain_that_makes_them(text: str) -> None:
    run = run_pass(text, "drop-zero-states,dce")
    assert run.ops == ["LSTM"]
    assert len(run.node("LSTM").inputs) == 3


def test_one_zero_state_of_two_goes() -> None:
    run = run_pass(lstm("h = ConstantOfShape(shape) c = Identity(given)"), "drop-zero-states,dce")
    assert [value is None for value in run.node("LSTM").inputs] == [
        False,
        False,
        False,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "states",
    [
        "h = Identity(given) c = Neg(given)",
        "h = ConstantOfShape<value = float[1] {1.0}>(shape) c = Identity(given)",
        "h = ConstantOfShape<value = float[1] {-0.0}>(shape) c = Identity(given)",
    ],
)
def test_other_states_stay(states: str) -> None:
    run = run_pass(lstm(states), "drop-zero-states")
    assert run.changes == 0
    assert run.refusals == {"drop-zero-state: an initial state is not known to be zero": 1}


def test_absent_states_need_no_word() -> None:
    run = run_pass(
        """g (float[S,N,2] x, float[1,9,2] w, float[1,9,3] r) => (float[S,1,N,3] y)
        { y = GRU<hidden_size = 3>(x, w, r) }""",
        "drop-zero-states",
    )
    assert run.changes == 0
    assert run.refusals == {}


@pytest.mark.parametrize("weight", ["inf", "nan", "1.0"])
def test_states_that_meet_infinite_weights_stay(weight: str) -> None:
    """Zero times infinity is no number, and without a state nothing is multiplied."""
    run = run_pass(
        f"""g (float[2,1,1] x) => (float[2,1,1,1] y)
        <float[1,1,1] w = {{1.0}}, float[1,1,1] r = {{{weight}}}, float[1,1,1] h = {{0.0}}> {{
            y = RNN<hidden_size = 1>(x, w, r, , , h) }}""",
        "drop-zero-states",
    )
    assert run.changes == (weight == "1.0")
