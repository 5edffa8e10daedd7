"""The search: what it promises whatever the reductions are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute.session import Session
from graphopt.ir import attribute_ints, count_nodes, nodes, verify
from graphopt.testing import parse_model
from graphopt.testing.reduce import Progress, reduce

SMALL = """
    m (float[2,3] x) => (float[2,3] y, float[2,3] z) {
        a = Relu(x)
        b = Neg(a)
        c = Abs(b)
        y = Exp(c)
        d = Sin(a)
        z = Mul(d, c)
    }"""


def has(op_type: str) -> Callable[[ir.Model], bool]:
    return lambda model: any(node.op_type == op_type for node in nodes(model))


def feeds(outer: str, inner: str) -> Callable[[ir.Model], bool]:
    """Whether some `inner` feeds an `outer`."""

    def holds(model: ir.Model) -> bool:
        return any(
            node.op_type == outer and any(v is not None and _made_by(v) == inner for v in node.inputs)
            for node in nodes(model)
        )

    return holds


def _made_by(value: ir.Value) -> str:
    producer = value.producer()
    return "" if producer is None else producer.op_type


def large_model(count: int = 300, at: int = 211) -> ir.Model:
    """A chain of `count` nodes with side branches; at one place a Conv is fed by a Transpose."""
    lines = ["v0 = Relu(x)"]
    for index in range(1, count):
        before = f"v{index - 1}"
        side = f"v{max(0, index - 7)}"
        if index == at - 1:
            lines.append(f"v{index} = Transpose <perm = [0, 1, 3, 2]> ({before})")
        elif index == at:
            lines.append(f"v{index} = Conv({before}, w)")
        elif index % 3 == 0:
            lines.append(f"v{index} = Add({before}, {side})")
        else:
            lines.append(f"v{index} = {('Tanh', 'Sigmoid', 'Neg')[index % 3]}({before})")
    body = "\n".join(lines)
    return parse_model(
        f"m (float[1,4,6,6] x) => (float[1,4,6,6] v{count - 1})"
        f" <float[4,4,1,1] w = {{{', '.join(['0.25'] * 16)}}}> {{ {body} }}"
    )


def conv_of_transpose(model: ir.Model) -> bool:
    """The planted crash: a Conv fed by a Transpose that swaps height and width."""
    for node in nodes(model):
        producer = (
            node.inputs[0].producer() if node.op_type == "Conv" and node.inputs[0] is not None else None
        )
        if producer is not None and producer.op_type == "Transpose":
            return attribute_ints(producer, "perm") == [0, 1, 3, 2]
    return False


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_only_what_matters_is_left() -> None:
    assert operators(reduce(parse_model(SMALL), feeds("Abs", "Neg"))) == ["Neg", "Abs"]


def test_the_original_is_only_read() -> None:
    model = parse_model(SMALL)
    before = ir.to_proto(model).SerializeToString()
    reduce(model, has("Sin"))
    assert ir.to_proto(model).SerializeToString() == before


def test_a_predicate_that_does_not_hold_is_an_error() -> None:
    with pytest.raises(UsageError, match="does not hold"):
        reduce(parse_model(SMALL), has("Conv"))


def test_a_predicate_that_raises_on_a_candidate_has_not_found_the_failure() -> None:
    def holds(model: ir.Model) -> bool:
        if not has("Relu")(model):
            raise RuntimeError("another failure")
        return True

    assert operators(reduce(parse_model(SMALL), holds)) == ["Relu"]


def test_only_valid_models_are_asked_about_and_each_once() -> None:
    seen: set[bytes] = set()

    def holds(model: ir.Model) -> bool:
        verify(model)
        Session(model)
        text = ir.to_proto(model).SerializeToString()
        assert text not in seen
        seen.add(text)
        return feeds("Mul", "Sin")(model)

    assert operators(reduce(parse_model(SMALL), holds)) == ["Sin", "Mul"]


def test_a_large_model_comes_to_the_planted_nodes_in_a_logarithmic_number_of_tries() -> None:
    model = large_model()
    tries = 0

    def holds(candidate: ir.Model) -> bool:
        nonlocal tries
        tries += 1
        return conv_of_transpose(candidate)

    assert operators(reduce(model, holds)) == ["Transpose", "Conv"]
    assert tries <= 2 * math.log2(300) + 40


def test_two_jobs_find_what_one_finds() -> None:
    model = large_model(24, 15)
    one = reduce(model, conv_of_transpose)
    two = reduce(model, conv_of_transpose, jobs=2)
    assert ir.to_proto(one) == ir.to_proto(two)


def test_cut_values_come_with_the_arrays_that_were_computed_there() -> None:
    model = parse_model(SMALL)
    x = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
    model.meta["graphopt.inputs"] = [{"x": x}, {"x": -x}]

    def holds(candidate: ir.Model) -> bool:
        # Shapes stay as they are, so that it is the cut alone that makes the inputs.
        return feeds("Abs", "Neg")(candidate) and candidate.graph.inputs[0].shape == [2, 3]

    reduced = reduce(model, holds)
    assert operators(reduced) == ["Neg", "Abs"]
    (value,) = reduced.graph.inputs
    for feed, original in zip(reduced.meta["graphopt.inputs"], (x, -x), strict=True):
        assert list(feed) == [value.name]
        np.testing.assert_array_equal(feed[value.name or ""], np.maximum(original, 0))


def test_what_a_node_computes_for_nobody_may_be_what_matters() -> None:
    text = "m (float[2] x) => (float[2] y) { a = Neg(x)  b = Exp(a)  y = Abs(x) }"
    assert operators(reduce(parse_model(text), feeds("Exp", "Neg"))) == ["Neg", "Exp"]


def test_progress_is_told() -> None:
    told: list[Progress] = []
    reduce(parse_model(SMALL), has("Sin"), progress=told.append)
    assert told[-1].nodes == 1
    assert [each.tries for each in told] == sorted(each.tries for each in told)
    assert count_nodes(parse_model(SMALL)) >= max(each.nodes for each in told)
