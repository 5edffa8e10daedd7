"""Which channels go together, told from the graph alone, and which node keeps others."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import infer_shapes
from graphopt.pruning import Group, Groups, dependency_groups
from graphopt.testing import parse_model


def found(inputs: str, outputs: str, body: str, **shapes: tuple[int, ...]) -> Groups:
    """The groups of a graph whose weights hold ones."""
    weights = ", ".join(
        f"float[{','.join(map(str, shape))}] {name} = {{{', '.join(['1'] * int(np.prod(shape)))}}}"
        for name, shape in shapes.items()
    )
    model = parse_model(f"agraph ({inputs}) => ({outputs}) <{weights}> {{ {body} }}")
    infer_shapes(model)
    return dependency_groups(model)


def only(groups: Groups) -> Group:
    """The single group."""
    (group,) = groups.groups
    return group


def places(group: Group, name: str, axis: int = 0) -> list[list[int]]:
    """For each unit its positions on an axis of a value."""
    (at,) = [index for index, each in enumerate(group.axes) if (each.value.name, each.axis) == (name, axis)]
    return [unit[at].tolist() for unit in group.units]


IMAGE, PIXELS = "float[1,3,8,8] x", "float[n,c,h,w] y"


def test_outputs_of_one_conv_are_inputs_of_the_next() -> None:
    groups = found(
        IMAGE, PIXELS, "a = Conv(x, w, b) r = Relu(a) y = Conv(r, v)", w=(4, 3, 1, 1), b=(4,), v=(2, 4, 1, 1)
    )
    group = only(groups)
    assert group.name == "w" and len(group) == 4
    assert places(group, "w") == places(group, "b") == places(group, "v", 1) == [[0], [1], [2], [3]]
    assert [sink.node.outputs[0].name for sink in groups.sinks_of(group)] == ["y"]


def test_what_is_added_goes_together() -> None:
    body = "a = Conv(x, w) b = Conv(x, u) s = Add(a, b) y = Conv(s, v)"
    group = only(found(IMAGE, PIXELS, body, w=(4, 3, 1, 1), u=(4, 3, 1, 1), v=(2, 4, 1, 1)))
    assert places(group, "w") == places(group, "u") == [[0], [1], [2], [3]]


def test_what_is_concatenated_goes_apart() -> None:
    body = "a = Conv(x, w) b = Conv(x, u) s = Concat <axis = 1> (a, b) y = Conv(s, v)"
    groups = found(IMAGE, PIXELS, body, w=(4, 3, 1, 1), u=(2, 3, 1, 1), v=(2, 6, 1, 1))
    one, other = groups.groups
    assert places(one, "v", 1) == [[0], [1], [2], [3]] and places(other, "v", 1) == [[4], [5]]


def test_a_split_and_a_concat_in_another_order_lead_back() -> None:
    body = """a = Conv(x, w) p, q = Split <axis = 1, num_outputs = 2> (a) s = Concat <axis = 1> (q, p)
              y = Conv(s, v)"""
    groups = found(IMAGE, PIXELS, body, w=(4, 3, 1, 1), v=(2, 4, 1, 1))
    pairs = {
        (own[0], read[0])
        for group in groups.groups
        for own, read in zip(places(group, "w"), places(group, "v", 1), strict=True)
    }
    assert pairs == {(0, 2), (1, 3), (2, 0), (3, 1)}


def test_a_depthwise_conv_hands_channels_on() -> None:
    body = "a = Conv(x, w) d = Conv <group = 4> (a, k) y = Conv(d, v)"
    group = only(found(IMAGE, PIXELS, body, w=(4, 3, 1, 1), k=(8, 1, 3, 3), v=(2, 8, 1, 1)))
    assert places(group, "k") == places(group, "v", 1) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_few_groups_lose_channels_at_the_same_places() -> None:
    body = "a = Conv(x, w) d = Conv <group = 2> (a, k) y = Conv(d, v)"
    groups = found(IMAGE, PIXELS, body, w=(6, 3, 1, 1), k=(4, 3, 1, 1), v=(2, 4, 1, 1))
    inputs, outputs = groups.groups
    assert places(inputs, "w") == [[0, 3], [1, 4], [2, 5]] and places(inputs, "k", 1) == [[0], [1], [2]]
    assert places(outputs, "k") == [[0, 2], [1, 3]]


def test_a_gate_goes_with_what_it_scales() -> None:
    body = """a = Conv(x, w) p = GlobalAveragePool(a) f = Conv(p, s) g = Relu(f) h = Conv(g, t)
              k = Sigmoid(h) m = Mul(a, k) y = Conv(m, v)"""
    groups = found(IMAGE, PIXELS, body, w=(4, 3, 1, 1), s=(2, 4, 1, 1), t=(4, 2, 1, 1), v=(2, 4, 1, 1))
    gated, inner = sorted(groups.groups, key=len, reverse=True)
    assert places(gated, "w") == places(gated, "t") == places(gated, "s", 1) == [[0], [1], [2], [3]]
    assert places(inner, "s") == places(inner, "t", 1) == [[0], [1]]


def test_flattened_channels_take_all_their_columns_along() -> None:
    body = """a = Conv(x, w) p = MaxPool <kernel_shape = [4,4], strides = [4,4]> (a) f = Flatten(p)
              y = MatMul(f, v)"""
    group = only(found(IMAGE, "float[n,m] y", body, w=(3, 3, 1, 1), v=(12, 2)))
    assert places(group, "v") == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_shuffled_channels_go_with_those_of_the_other_groups() -> None:
    body = """a = Conv(x, w) r = Reshape(a, to) t = Transpose <perm = [0,2,1,3,4]> (r) s = Reshape(t, back)
              y = Conv(s, v)"""
    text = f"""agraph ({IMAGE}) => ({PIXELS}) <float[6,3,1,1] w = {{{", ".join(["1"] * 18)}}},
        float[2,6,1,1] v = {{{", ".join(["1"] * 12)}}}, int64[5] to = {{1, 2, 3, 8, 8}},
        int64[4] back = {{1, 6, 8, 8}}> {{ {body} }}"""
    model = parse_model(text)
    infer_shapes(model)
    group = only(dependency_groups(model))
    assert places(group, "w") == [[0, 3], [1, 4], [2, 5]]
    assert places(group, "v", 1) == [[0, 1], [2, 3], [4, 5]]


ATTENTION = """
    q = MatMul(x, wq) qr = Reshape(q, heads) qt = Transpose <perm = [0,2,1,3]> (qr)
    k = MatMul(x, wk) kr = Reshape(k, heads) kt = Transpose <perm = [0,2,3,1]> (kr)
    v = MatMul(x, wv) vr = Reshape(v, heads) vt = Transpose <perm = [0,2,1,3]> (vr)
    s = MatMul(qt, kt) p = Softmax(s) a = MatMul(p, vt)
    at = Transpose <perm = [0,2,1,3]> (a) o = Reshape(at, back) y = MatMul(o, wo)"""


def test_a_head_takes_its_rows_of_all_four_weights_along() -> None:
    ones = ", ".join(["1"] * 36)
    weights = ", ".join(f"float[6,6] {name} = {{{ones}}}" for name in ("wq", "wk", "wv", "wo"))
    shapes = "int64[4] heads = {1, 5, 3, 2}, int64[3] back = {1, 5, 6}"
    model = parse_model(
        f"agraph (float[1,5,6] x) => (float[1,5,6] y) <{weights}, {shapes}> {{ {ATTENTION} }}"
    )
    infer_shapes(model)
    group = only(dependency_groups(model))
    heads = [[0, 1], [2, 3], [4, 5]]
    assert places(group, "wq", 1) == places(group, "wk", 1) == places(group, "wv", 1) == heads
    assert places(group, "wo", 0) == heads


@pytest.mark.parametrize(("op", "gates"), [("GRU", 3), ("LSTM", 4), ("RNN", 1)])
def test_an_element_of_the_state_has_a_row_of_every_gate(op: str, gates: int) -> None:
    body = f"a = {op} <hidden_size = 2> (x, w, r, b) s = Squeeze(a, one) y = MatMul(s, v)"
    sizes = {"w": (1, gates * 2, 3), "r": (1, gates * 2, 2), "b": (1, gates * 4), "v": (2, 3)}
    weights = ", ".join(
        f"float[{','.join(map(str, shape))}] {name} = {{{', '.join(['1'] * int(np.prod(shape)))}}}"
        for name, shape in sizes.items()
    )
    text = f"agraph (float[4,1,3] x) => (float[4,1,3] y) <{weights}, int64[1] one = {{1}}> {{ {body} }}"
    model = parse_model(text)
    infer_shapes(model)
    group = only(dependency_groups(model))
    assert places(group, "r", 2) == places(group, "v") == [[0], [1]]
    assert places(group, "w", 1) == [[*range(0, gates * 2, 2)], [*range(1, gates * 2, 2)]]


@pytest.mark.parametrize(
    ("body", "reason", "node"),
    [
        ("y = Conv(x, w)", "it is an output of the model", "y"),
        ("a = Conv(x, w) [soft] s = Softmax <axis = 1> (a) y = Conv(s, v)", "statistics", "soft"),
        ("a = Conv(x, w) [lrn] s = LRN <size = 3> (a) y = Conv(s, v)", "LRN is not known", "lrn"),
        ("a = Conv(x, w) [sum] s = ReduceSum <keepdims = 1> (a, one) y = Add(s, x)", "reduces over", "sum"),
    ],
)
def test_a_refusal_names_the_node_in_the_way(body: str, reason: str, node: str) -> None:
    ones = ", ".join(["1"] * 12)
    weights = f"float[4,3,1,1] w = {{{ones}}}, float[3,4,1,1] v = {{{ones}}}, int64[1] one = {{1}}"
    model = parse_model(f"agraph ({IMAGE}) => ({PIXELS}) <{weights}> {{ {body} }}")
    infer_shapes(model)
    refusals = dependency_groups(model).refusals
    assert [(each.node, each.weights, each.channels) for each in refusals if reason in each.reason] == [
        (node, ("w",), 4)
    ]


def test_sizes_that_are_read_for_a_reshape_do_not_block() -> None:
    body = """a = Conv(x, w) s = Shape(a) r = Relu(a) f = Reshape(r, s) y = Conv(f, v)"""
    group = only(found("float[1,3,h,w] x", PIXELS, body, w=(4, 3, 1, 1), v=(2, 4, 1, 1)))
    assert places(group, "v", 1) == [[0], [1], [2], [3]]


def test_a_number_of_channels_that_is_computed_with_blocks_them() -> None:
    body = """a = Conv(x, w) s = Shape <start = 1, end = 2> (a) c = Cast <to = 1> (s) d = Div(a, c)
              y = Conv(d, v)"""
    groups = found(IMAGE, PIXELS, body, w=(4, 3, 1, 1), v=(2, 4, 1, 1))
    assert not groups.groups
    assert "something is computed of their number" in {each.reason for each in groups.refusals}
