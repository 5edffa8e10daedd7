"""Graphs that are none: cyclic, cut off, without outputs, of operators and domains that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from graphopt.testing.hostile.build import body, data, model, node, text, value
from graphopt.testing.hostile.case import Case

_FLOAT_BODY = (
    "<then_branch = t () => (float[2] p) { p = Neg(x) }, else_branch = f () => (float[2] q) { q = Abs(x) }>"
)


def cases() -> Iterator[Case]:
    """Structures that make no sense."""
    yield Case("no-graph", data(onnx.ModelProto(ir_version=8)), "holds no graph")
    yield Case("empty-graph", _with_graph(onnx.GraphProto()), "has no outputs")
    yield Case(
        "no-outputs", _with_graph(onnx.GraphProto(node=[node("Neg")], input=[value("x")])), "has no outputs"
    )
    yield Case("self-loop", body("y = Add(x, y)"), "has a cycle of 1 nodes")
    yield Case("cycle", body("a = Neg(c) b = Add(a, x) c = Abs(b) y = Neg(c)"), "has a cycle of 3 nodes")
    yield Case("long-cycle", data(_ring(5000)), "has a cycle of 5000 nodes")
    yield Case(
        "cycle-through-a-body",
        body(f"y = If (b) {_FLOAT_BODY.replace('(x)', '(y)')}", "float[2] x, bool b"),
        "cycle",
    )
    yield Case("undefined-input", body("y = Add(x, nowhere)"), "no node, input or initializer")
    yield Case("undefined-output", body("t = Neg(x)"), "is defined by no node")
    yield Case("out-of-order", body("y = Neg(b) b = Abs(a) a = Exp(x)"))
    yield Case(
        "reads-from-a-body",
        body(f"t = If (b) {_FLOAT_BODY} y = Neg(p)", "float[2] x, bool b"),
        "no node, input",
    )
    yield Case("unknown-operator", body("y = Frobnicate(x)"))
    yield Case("unknown-domain", data(model([node("Neg", domain="no.such.domain")])))
    yield Case("no-operator", data(model([node("")])), "has no operator")
    yield Case("no-inputs", data(model([node("Neg", [])])), "has 0 inputs")
    headless = model([node("Neg", ["x"], []), node("Neg")])
    yield Case("no-outputs-of-node", data(headless), "has 0 outputs, expected at least 1")
    yield Case("too-many-inputs", data(model([node("Neg", ["x", "x"])])), "has 2 inputs")
    yield Case("too-many-outputs", data(model([node("Neg", ["x"], ["y", "z"])])), "has 2 outputs")
    yield Case("wrong-types", body("t = Cast <to = 9> (x) y = Add(t, x)"))
    yield Case("if-without-branches", data(model([node("If", ["x"])])), "lacks the attribute")
    yield Case("if-on-numbers", body(f"y = If (x) {_FLOAT_BODY}"))
    yield Case("if-branch-with-inputs", data(text(_INPUTS_IN_BRANCH)), "has 1 inputs, expected 0")
    yield Case("if-branch-without-outputs", data(_branch_without_outputs()), "has 0 outputs")
    yield Case(
        "loop-body-of-one-input",
        body("y = Loop (, , x) <body = b (int64 i) => (bool m) { m = Cast <to = 9> (i) }>"),
        "has 1 inputs, expected 3",
    )
    yield Case(
        "loop-body-without-inputs",
        body("y = Loop (, , x) <body = b () => (float[2] p) { p = Neg(x) }>"),
        "has 0 inputs, expected 3",
    )
    yield Case(
        "scan-of-too-many",
        body("y = Scan <num_scan_inputs = 99, body = b (float[2] a) => (float[2] p) { p = Neg(a) }> (x)"),
        "num_scan_inputs",
    )
    yield Case(
        "scan-of-fewer-than-none",
        body("y = Scan <num_scan_inputs = -1, body = b (float[2] a) => (float[2] p) { p = Neg(a) }> (x)"),
        "num_scan_inputs",
    )
    yield Case("loop-over-nothing", data(model([node("Loop", ["", ""], ["y"])])), "lacks the attribute")
    yield Case("branch-in-the-wrong-place", data(_body_on_neg()), "does not know")


def _with_graph(graph: onnx.GraphProto) -> bytes:
    made = model([node("Neg")])
    made.graph.CopyFrom(graph)
    return data(made)


def _ring(count: int) -> onnx.ModelProto:
    ring = [node("Neg", [f"t{index}"], [f"t{(index + 1) % count}"]) for index in range(count)]
    return model([*ring, node("Add", ["x", "t0"])])


def _branch_without_outputs() -> onnx.ModelProto:
    empty = onnx.GraphProto(name="e")
    made = model([node("If", ["c"], ["y"], then_branch=empty, else_branch=empty)])
    made.graph.input.add().CopyFrom(value("c", (), onnx.TensorProto.BOOL))
    return made


def _body_on_neg() -> onnx.ModelProto:
    inner = onnx.GraphProto(name="b", node=[node("Neg", ["x"], ["p"])], output=[value("p")])
    return model([node("Neg", body=inner)])


_INPUTS_IN_BRANCH = """g (float[2] x, bool b) => (float[2] y) {
    y = If (b) <then_branch = t (float[2] a) => (float[2] p) { p = Neg(a) },
                else_branch = f () => (float[2] q) { q = Abs(x) }> }"""
