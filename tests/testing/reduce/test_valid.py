"""What a candidate must hold to: as much as the original did."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.io import to_proto
from graphopt.testing import parse_model
from graphopt.testing.branches import repeated_ends
from graphopt.testing.reduce import reduce
from graphopt.testing.reduce.valid import strictest_check

GOOD = "m (float[2] x) => (float[2] y) { y = Abs(x) }"
FALSE_SHAPE = "m (float[2] x) => (float[3] y) { y = Abs(x) }"
FALSE_TYPE = "m (float[2] x, int64[2] z) => (float[2] y) { y = Add(x, z) }"


def packed(text: str) -> bytes:
    return bytes(to_proto(parse_model(text)).SerializeToString())


def test_what_the_checker_accepts_must_stay_so() -> None:
    check = strictest_check(packed(GOOD))
    assert check(packed(GOOD))
    assert not check(packed(FALSE_SHAPE))
    assert not check(packed(FALSE_TYPE))


def test_a_false_original_may_stay_false() -> None:
    assert strictest_check(packed(FALSE_SHAPE))(packed(FALSE_SHAPE))
    assert strictest_check(packed(FALSE_TYPE))(packed(FALSE_TYPE))


def test_a_model_that_is_not_quite_valid_is_reduced_all_the_same() -> None:
    text = "m (float[2] x) => (float[3] z) { a = Neg(x) b = Exp(a) y = Abs(b) z = Sin(y) }"
    model = reduce(parse_model(text), lambda model: any(node.op_type == "Exp" for node in model.graph))
    assert [node.op_type for node in model.graph] == ["Exp"]


def test_candidates_run_on_the_inputs_that_they_have() -> None:
    text = "m (float[5] x, int64[2] i) => (float[2] y) { a = Neg(x) g = Gather(a, i) y = Abs(g) }"
    model = parse_model(text)
    model.meta["graphopt.inputs"] = [{"x": np.arange(5, dtype=np.float32), "i": np.array([4, 1])}]
    seen: list[ir.Model] = []

    def holds(candidate: ir.Model) -> bool:
        seen.append(candidate)
        return any(node.op_type == "Gather" for node in candidate.graph)

    reduced = reduce(model, holds)
    assert [node.op_type for node in reduced.graph] == ["Gather"]
    for candidate in seen:
        for feed in candidate.meta["graphopt.inputs"]:
            assert set(feed) == {value.name for value in candidate.graph.inputs}
            gather = next((node for node in candidate.graph if node.op_type == "Gather"), None)
            data = (
                None if gather is None or gather.inputs[0] is None else feed.get(gather.inputs[0].name or "")
            )
            if data is not None and "i" in feed:
                assert feed["i"].max() < len(data)


def test_inputs_on_which_the_original_does_not_run_bind_nobody() -> None:
    model = parse_model("m (float[5] x, int64[2] i) => (float[2] y) { a = Neg(x) y = Gather(a, i) }")
    inputs = [{"x": np.zeros(5, np.float32), "i": np.array([9, 9])}]
    reduced = reduce(
        model, lambda model: any(node.op_type == "Gather" for node in model.graph), inputs=inputs
    )
    assert [node.op_type for node in reduced.graph] == ["Gather"]


def test_branches_never_come_to_end_in_one_value_twice() -> None:
    text = """m (bool c, float[2] x) => (float[2] y, float[2] z) {
        y, z = If (c) <then_branch = t () => (float[2] a, float[2] b) { a = Neg(x) b = Identity(a) },
                       else_branch = e () => (float[2] p, float[2] q) { p = Abs(x) q = Exp(x) }> }"""
    model = reduce(parse_model(text), lambda model: len(model.graph.outputs) == 2)
    assert all(node.op_type != "If" or not repeated_ends(model) for node in model.graph)
