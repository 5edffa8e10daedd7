"""Heads that the output does not read go, whatever stands between the projections, and no number changes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.ir import constant_tensor, infer_shapes, verify
from graphopt.passes.pruning._remove import Removal
from graphopt.pruning import Group, Groups, dependency_groups
from graphopt.testing import parse_model

WIDTH, LENGTH, SIZE = 8, 5, 4


def attention(
    queries: int, shared: int, *, mask: tuple[int, ...] = (), turned: bool = False, packed: bool = True
) -> ir.Model:
    """Projections, an Attention with so many heads of queries, and of keys and values, and a projection."""
    sizes: dict[str, tuple[int, ...]] = {
        "wq": (WIDTH, queries * SIZE),
        "wk": (WIDTH, shared * SIZE),
        "wv": (WIDTH, shared * SIZE),
        "wo": (queries * SIZE, WIDTH),
    }
    if turned:
        sizes |= {"cosines": (1, LENGTH, SIZE // 2), "sines": (1, LENGTH, SIZE // 2)}
    if mask:
        sizes["mask"] = mask
    body = "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv)"
    q, k, v = "q", "k", "v"
    if not packed:
        for name, count in (("q", "heads"), ("k", "shared"), ("v", "shared")):
            body += f" {name}r = Reshape({name}, {count}) {name}t = Transpose <perm = [0,2,1,3]> ({name}r)"
        q, k, v = "qt", "kt", "vt"
    if turned:
        for name, number in ((q, queries), (k, shared)):
            heads = f"<num_heads = {number}>" if packed else ""
            body += f" {name}_turned = RotaryEmbedding {heads} ({name}, cosines, sines)"
        q, k = f"{q}_turned", f"{k}_turned"
    heads = f"<q_num_heads = {queries}, kv_num_heads = {shared}>" if packed else ""
    body += f" a = Attention {heads} ({q}, {k}, {v}{', mask' if mask else ''})"
    if packed:
        body += " y = MatMul(a, wo)"
    else:
        body += " t = Transpose <perm = [0,2,1,3]> (a) r = Reshape(t, back) y = MatMul(r, wo)"
    rng = np.random.default_rng(0)
    weights = ", ".join(
        f"float[{','.join(map(str, shape))}] {name} = "
        f"{{{', '.join(f'{number:.4f}' for number in rng.normal(size=int(np.prod(shape))))}}}"
        for name, shape in sizes.items()
    )
    shapes = (
        f"int64[4] heads = {{0, 0, {queries}, {SIZE}}}, int64[4] shared = {{0, 0, {shared}, {SIZE}}}, "
        "int64[3] back = {0, 0, -1}"
    )
    value = f"float[1,{LENGTH},{WIDTH}]"
    text = f"agraph ({value} x) => ({value} y) <{weights}, {shapes}> {{ {body} }}"
    model = parse_model(text, opset=23)
    infer_shapes(model)
    return model


def heads(groups: Groups) -> Group:
    """The group of heads."""
    (group,) = [each for each in groups.groups if "wo" in {axis.value.name for axis in each.axes}]
    return group


KINDS = {
    "each its own": {"queries": 3, "shared": 3},
    "keys that several share": {"queries": 8, "shared": 4},
    "few keys": {"queries": 6, "shared": 2},
    "one for all": {"queries": 3, "shared": 1},
    "a mask of each head": {"queries": 3, "shared": 3, "mask": (1, 3, LENGTH, LENGTH)},
    "a mask of each head, without a batch": {"queries": 4, "shared": 2, "mask": (4, LENGTH, LENGTH)},
    "one mask": {"queries": 3, "shared": 3, "mask": (LENGTH, LENGTH)},
    "turned": {"queries": 4, "shared": 4, "turned": True},
    "turned, shared, masked": {"queries": 4, "shared": 2, "turned": True, "mask": (1, 4, LENGTH, LENGTH)},
}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "an axis of heads"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_is_not_read_goes(kind: str, packed: bool) -> None:
    model = attention(**KINDS[kind], packed=packed)  # type: ignore[arg-type]
    groups = dependency_groups(model)
    group = heads(groups)
    (wo,) = [axis for axis in group.axes if axis.value.name == "wo"]
    tensor = constant_tensor(wo.value)
    assert tensor is not None
    array = tensor.numpy().copy()
    array[group.positions(wo)[1]] = 0.0
    wo.value.const_value = ir.Tensor(array, name="wo")
    x = np.random.default_rng(1).normal(size=(1, LENGTH, WIDTH)).astype(np.float32)
    before = Session(model).run({"x": x})["y"]
    Removal(model, groups).remove([(group, [1])])
    infer_shapes(model)
    verify(model)
    np.testing.assert_allclose(Session(model).run({"x": x})["y"], before, rtol=1e-5, atol=1e-5)
    left = constant_tensor(wo.value)
    assert left is not None and len(left.numpy()) < len(array)


@pytest.mark.parametrize(
    ("queries", "shared", "units", "keys_go"),
    [(8, 4, 4, True), (6, 2, 3, False), (3, 1, 3, False), (4, 2, 2, True)],
)
def test_what_shares_keys_goes_as_there_are_more_units(
    queries: int, shared: int, units: int, keys_go: bool
) -> None:
    group = heads(dependency_groups(attention(queries, shared)))
    assert len(group) == units
    assert ("wk" in {axis.value.name for axis in group.axes}) == keys_go


def test_a_mask_of_heads_that_are_not_known_keeps_them() -> None:
    model = attention(3, 3, mask=(1, 3, LENGTH, LENGTH))
    node = next(each for each in model.graph if each.op_type == "Attention")
    mask = node.inputs[3]
    assert mask is not None
    model.graph.inputs.append(given := ir.Value(name="given", type=mask.type, shape=ir.Shape([1, "h", 5, 5])))
    node.replace_input_with(3, given)
    groups = dependency_groups(model)
    assert not groups.groups
    assert ("Attention needs all of them", "wo") not in {(r.reason, r.weights[0]) for r in groups.refusals}
    assert "Attention needs all of them" in {each.reason for each in groups.refusals}
