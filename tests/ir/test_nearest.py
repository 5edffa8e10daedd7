"""How far patterns fit: counted from any of their nodes, and the first thing in the way is named."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.ir import const, infer_shapes, op, rest, rule, var
from graphopt.ir.nearest import nearest
from graphopt.testing import parse_model


@rule(op(("Mul", "Div"), op("Conv", var("x"), const("w"), const("b", optional=True)), const("scale")))
def scale_after(tape: object, x: ir.Value) -> ir.Value:
    """Conv(x, w) * s."""
    return x


@rule(op("Relu", op("Add", op("Mul", var("x"), const("scale")), const("shift"))))
def chain(tape: object, x: ir.Value) -> ir.Value:
    """Relu(x * s + b)."""
    return x


@rule(op("Concat", rest("parts")))
def parts(tape: object, parts: object) -> ir.Value:
    """Any Concat."""
    raise AssertionError


TEXT = """g (float[1,2,4,4] x, float[1,2,4,4] other) => (float[1,2,4,4] y, float[1,2,4,4] z, float[1,2,4,4] v)
<float[2,2,1,1] w = {1, 2, 3, 4}, float s = {2}> {
    [conv] a = Conv (x, w)
    [gate] g = Sigmoid (other)
    [gated] y = Mul (a, g)
    [scale] m = Mul (s, x)
    [shift] n = Add (m, other)
    [end] z = Relu (n)
    [tail] t = Add (m, s)
    [other_end] v = Tanh (t)
}"""


@pytest.fixture(scope="module")
def model() -> ir.Model:
    model = parse_model(TEXT)
    infer_shapes(model)
    return model


def said(model: ir.Model, name: str) -> list[str]:
    node = next(node for node in model.graph if node.name == name)
    return [f"{each.rule.name}: {each}" for each in nearest(node, (scale_after, chain, parts))]


CONV_MUL = (
    "scale-after: Conv-Mul/Div: 2 of 2 operators fit; the second input of Mul 'gated' is the result of "
    "Sigmoid 'gate', expected a constant"
)


@pytest.mark.parametrize("name", ["gated", "conv"])
def test_a_match_counts_from_any_of_its_nodes(model: ir.Model, name: str) -> None:
    assert said(model, name)[0] == CONV_MUL


def test_the_first_thing_in_the_way_is_named_with_operands_in_either_order(model: ir.Model) -> None:
    assert said(model, "end") == [
        "chain: Mul-Add-Relu: 3 of 3 operators fit; "
        "the second input of Add 'shift' is the graph input 'other', expected a constant"
    ]


def test_another_user_than_the_pattern_wants(model: ir.Model) -> None:
    assert said(model, "tail") == [
        "chain: Mul-Add-Relu: 2 of 3 operators fit; what uses Add 'tail' is Tanh 'other_end', expected Relu"
    ]


def test_another_producer_than_the_pattern_wants(model: ir.Model) -> None:
    assert said(model, "scale")[-1] == (
        "scale-after: Conv-Mul/Div: 1 of 2 operators fit; "
        "the first input of Mul 'scale' is a constant, expected Conv"
    )


def test_operators_that_no_rule_has_are_near_nothing(model: ir.Model) -> None:
    assert said(model, "gate") == []


def test_a_whole_match_is_left_to_the_rule_itself() -> None:
    model = parse_model(TEXT.replace("y = Mul (a, g)", "y = Mul (a, s)"))
    assert said(model, "conv") == []
