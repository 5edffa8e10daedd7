"""Regions are maximal and convex, hold work on codes, and end where a runtime's own fusions begin."""

from __future__ import annotations

import random

import onnx_ir as ir
import pytest

from graphopt.native.regions import Region, find_regions
from graphopt.testing import parse_model

HEAD = (
    '<ir_version: 9, opset_import: ["" : 17]> g (float[1,4,4,4] x, float[1,4,4,4] o) => (float[1,4,4,4] y) '
)
PARTS = (
    """<float s = {0.1}, uint8 z = {0}, int8[4,4,1,1] w = {1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4}, int8 v = {0}>"""
)

LAYER = """{name}w = DequantizeLinear(w, s, v) [{name}] {name}c = Conv({source}, {name}w)
    {name}q = QuantizeLinear({name}c, s, z) {name} = DequantizeLinear({name}q, s, z) """


def layer(name: str, source: str) -> str:
    """A Conv on codes, from a decoded value to one of its name."""
    return LAYER.replace("{name}", name).replace("{source}", source)


def found(body: str, *unsupported: str) -> list[Region]:
    """The regions of a graph in which some operators, or nodes of some name, are not supported."""
    start = "iq = QuantizeLinear(x, s, z) i = DequantizeLinear(iq, s, z) "
    model = parse_model(f"{HEAD}{PARTS} {{ {start} {body} }}")
    return find_regions(
        model.graph, lambda node: "no" if {node.op_type, node.name} & set(unsupported) else None
    )


def names(values: tuple[ir.Value, ...]) -> list[str | None]:
    return [value.name for value in values]


def kinds(region: Region) -> list[str]:
    return [node.op_type for node in region.nodes]


def test_a_whole_graph_is_one_region_without_what_is_constant() -> None:
    (region,) = found(layer("a", "i") + layer("b", "a") + "y = Identity(b)")
    assert (names(region.inputs), names(region.outputs)) == (["x"], ["y"])
    assert kinds(region).count("DequantizeLinear") == 3  # none of them of weights
    assert region.name == "a"


def test_what_is_supported_on_both_sides_of_what_is_not_are_two_regions() -> None:
    body = layer("a", "i") + "r = Tanh(a) rq = QuantizeLinear(r, s, z) rd = DequantizeLinear(rq, s, z) "
    first, second = found(body + layer("b", "rd") + "y = Identity(b)", "Tanh")
    assert (first.name, second.name) == ("a", "b")


def test_no_path_leaves_a_region_and_comes_back() -> None:
    body = layer("a", "i") + "t = Tanh(a) tq = QuantizeLinear(t, s, z) td = DequantizeLinear(tq, s, z) "
    body += "m = Add(a, td) mq = QuantizeLinear(m, s, z) md = DequantizeLinear(mq, s, z) "
    first, second = found(body + layer("b", "md") + "y = Identity(b)", "Tanh")
    assert "Add" not in kinds(first) and "Add" in kinds(second)


def test_what_comes_from_elsewhere_does_not_cut_a_region() -> None:
    body = layer("a", "i") + "t = Tanh(o) tq = QuantizeLinear(t, s, z) td = DequantizeLinear(tq, s, z) "
    body += "m = Add(a, td) mq = QuantizeLinear(m, s, z) md = DequantizeLinear(mq, s, z) "
    (region,) = found(body + layer("b", "md") + "y = Identity(b)", "Tanh")
    assert names(region.inputs) == ["x", "t"]


def test_a_region_without_work_on_codes_is_none() -> None:
    assert found("y = Relu(i)") == []
    assert found("c = Conv(x, f) y = Relu(c)".replace("f", "o")) == []


def test_what_nobody_reads_is_no_region() -> None:
    assert found(layer("a", "i") + "y = Identity(x)") == []


def test_floats_around_the_codes_stay_in_the_runtime() -> None:
    body = layer("a", "i") + "e = Exp(a) f = Sqrt(e) y = Neg(f)"
    (region,) = found(body)
    assert kinds(region)[-1] == "Exp"  # reads codes
    assert names(region.outputs) == ["e"]


@pytest.mark.parametrize(("taken", "given"), [("uint8", "b"), ("int8", "b"), ("int32", "d")])
def test_what_is_made_of_bytes_is_a_function_of_codes(taken: str, given: str) -> None:
    body = "c = Cast<to = 1>(b) n = Mul(c, s) d = Sub(n, s) k = Mul(d, s) kq = QuantizeLinear(k, s, z) "
    body += f"kd = DequantizeLinear(kq, s, z) {layer('a', 'kd')} y = Identity(a)"
    ports = f"g ({taken}[1,4,4,4] b) => (float[1,4,4,4] y)"
    model = parse_model(f'<ir_version: 9, opset_import: ["" : 17]> {ports} {PARTS} {{ {body} }}')
    (region,) = find_regions(model.graph, lambda node: None)
    assert names(region.inputs) == [given]


def test_codes_are_handed_over_where_a_runtime_computes_on_them() -> None:
    body = layer("a", "i") + layer("b", "a") + layer("c", "b") + "y = Identity(c)"
    first, second = found(body, "b")
    assert names(first.outputs) == ["aq"]
    assert [node.outputs[0].name for node in first.stays] == ["a"]
    assert names(second.inputs) == ["bq"]


@pytest.mark.parametrize("more", ["", "n = Tanh(a) "])
def test_what_one_region_reads_another_one_writes(more: str) -> None:
    body = layer("a", "i") + more + "t = Erf(a) tq = QuantizeLinear(t, s, z) td = DequantizeLinear(tq, s, z) "
    body += "m = Add(a, td) mq = QuantizeLinear(m, s, z) md = DequantizeLinear(mq, s, z) "
    first, second = found(body + layer("b", "md") + "y = Identity(b)", "Erf", "Tanh")
    assert names(first.outputs) == (["a"] if more else ["aq"])
    assert set(names(second.inputs)) == {names(first.outputs)[0], "tq"}


def test_floats_are_handed_over_where_a_runtime_computes_on_floats() -> None:
    (region,) = found(layer("a", "i") + "y = Tanh(a)", "Tanh")
    assert names(region.outputs) == ["a"] and not region.stays


def test_a_body_reads_of_a_region_what_is_outside_of_it() -> None:
    body = (
        layer("a", "i")
        + layer("b", "a")
        + (
            "k = ReduceSum <keepdims = 0> (o) c = Cast <to = 9> (k) "
            "y = If (c) <then_branch = t () => (float[1,4,4,4] p) { p = Identity(a) }, "
            "else_branch = f () => (float[1,4,4,4] q) { q = Identity(b) }>"
        )
    )
    (region,) = found(body, "If", "Identity")
    assert sorted(map(str, names(region.outputs))) == ["a", "b"]


@pytest.mark.parametrize("seed", range(30))
def test_regions_of_any_graph_are_convex_and_cannot_be_joined(seed: int) -> None:
    choices = random.Random(seed)
    count = 14
    nodes, made = [], [ir.Value(name="x")]
    refused = set()
    for index in range(count):
        inputs = [made[choices.randrange(max(0, len(made) - 6), len(made))] for _ in range(2)]
        node = ir.Node("", "QLinearConv", inputs, name=f"n{index}")
        if choices.random() < 0.35:
            refused.add(node)
        node.outputs[0].name = f"v{index}"
        nodes.append(node)
        made.append(node.outputs[0])
    graph = ir.Graph([made[0]], made[1:], nodes=nodes, opset_imports={"": 17})
    regions = find_regions(graph, lambda node: "no" if node in refused else None)
    inside = [set(region.nodes) for region in regions]
    assert set().union(*inside) == set(nodes) - refused
    for one in inside:
        assert is_convex(nodes, one)
        for other in inside:
            touch = any(
                value.producer() in one for node in other for value in node.inputs if value is not None
            )
            assert one is other or not touch or not is_convex(nodes, one | other)


def is_convex(nodes: list[ir.Node], inside: set[ir.Node]) -> bool:
    left: set[ir.Node] = set()  # outside, and behind the region
    for node in nodes:
        makers = {value.producer() for value in node.inputs if value is not None}
        if node in inside:
            if makers & left:
                return False
        elif makers & (inside | left):
            left.add(node)
    return True
