"""Operators made of others: normalizations of groups, blocks of pixels, slopes, the largest of an image."""

from __future__ import annotations

import pytest

from graphopt.ir import infer_shapes
from graphopt.native import reasons
from graphopt.testing import parse_model

from .conftest import Lower

CODES = "float s = {0.1}, uint8 z = {100}, float[4] g = {1.5,-0.7,2,1}, float[4] b = {0.3,-2,1,0}"
SLOPES = (
    "float[4,1,1] p = {0.1,-0.5,2,0.25}, float[1] p1 = {0.3}, float[2] g2 = {1.5,-0.7}, float[2] b2 = {0.5,1}"
)
IN = "xq = QuantizeLinear(x, s, z) xd = DequantizeLinear(xq, s, z) "
Q = " yq = QuantizeLinear(k, s, z) y = DequantizeLinear(yq, s, z)"


def model(body: str, x: str, y: str, opset: int = 17) -> str:
    """A model of `x`, decoded as `xd`, that computes `k`, which is encoded and decoded to `y`."""
    head = f'<ir_version: 9, opset_import: ["" : {opset}]> g '
    return f"{head}(float[{x}] x) => (float[{y}] y) <{CODES}, {SLOPES}> {{ {IN} {body} {Q} }}"


@pytest.mark.parametrize(
    ("body", "x", "y", "kind"),
    [
        ("k = InstanceNormalization(xd, g, b)", "2,4,3,5", "2,4,3,5", "layer_norm"),
        ("k = InstanceNormalization<epsilon = 0.1>(xd, g, b)", "2,4,7", "2,4,7", "layer_norm"),
        ("k = InstanceNormalization(x, g, b)", "rows,4,3,5", "rows,4,3,5", "layer_norm"),
        ("k = LRN<size = 3, alpha = 0.5>(xd)", "2,4,3,5", "2,4,3,5", "lrn"),
        ("k = LRN<size = 5, alpha = 0.5, beta = 0.5, bias = 2.0>(x)", "rows,7,3,5", "rows,7,3,5", "lrn"),
        ("k = PRelu(xd, p)", "2,4,3,5", "2,4,3,5", "binary"),
        ("k = PRelu(xd, p1)", "2,4,3,5", "2,4,3,5", "lookup"),
        ("k = PRelu(x, p)", "2,4,3,5", "2,4,3,5", "binary"),
        ("k = Selu(xd)", "2,4,3,5", "2,4,3,5", "lookup"),
        ("k = GlobalMaxPool(xd)", "2,4,3,5", "2,4,1,1", "max_pool"),
        ("k = GlobalMaxPool(xd)", "rows,4,5", "rows,4,1", "max_pool"),
        ("k = DepthToSpace<blocksize = 2>(xd)", "2,12,3,5", "2,3,6,10", "transpose"),
        ('k = DepthToSpace<blocksize = 2, mode = "CRD">(xd)', "2,12,3,5", "2,3,6,10", "transpose"),
        ("k = DepthToSpace<blocksize = 3>(x)", "rows,18,1,2", "rows,2,3,6", "transpose"),
        ("k = SpaceToDepth<blocksize = 2>(xd)", "2,3,4,6", "2,12,2,3", "transpose"),
        ("k = SpaceToDepth<blocksize = 2>(xd)", "rows,1,4,6", "rows,4,2,3", "transpose"),
    ],
)
def test_it_agrees_with_onnxruntime(body: str, x: str, y: str, kind: str, lower: Lower) -> None:
    assert kind in lower(model(body, x, y), share=0.999, rows=3)


@pytest.mark.parametrize(("opset", "factors"), [(18, "g2, b2"), (21, "g, b")])
def test_group_normalization_with_factors_of_groups_or_channels(
    opset: int, factors: str, lower: Lower
) -> None:
    body = f"k = GroupNormalization<num_groups = 2>(xd, {factors})"
    assert "layer_norm" in lower(model(body, "2,4,3,5", "2,4,3,5", opset), share=0.999)


@pytest.mark.parametrize(
    ("body", "x", "reason"),
    [
        ("k = InstanceNormalization(xd, g2, b2)", "2,4,3,5", "factors of a normalization"),
        ("k = InstanceNormalization(xd, g, b)", "2,4,height,5", "not known before the program runs"),
        ("k = LRN<size = 3, beta = 0.6>(xd)", "2,4,3,5", "none of 0.25, 0.5, 0.75 and 1"),
        ("k = LRN<size = 65>(xd)", "2,4,3,5", "more than 64 channels"),
        ("k = PRelu(xd, x)", "2,4,3,5", "input 1 is computed"),
        ("k = GlobalMaxPool(xd)", "2,4,height,5", "not known before the program runs"),
        ("k = GlobalMaxPool(xd)", "2,4,3,3,3", "one or two spatial axes"),
        ("k = SpaceToDepth<blocksize = 2>(xd)", "2,4,height,6", "not known before the program runs"),
    ],
)
def test_what_it_cannot_be_made_of_has_a_reason(body: str, x: str, reason: str) -> None:
    graph = parse_model(model(body, x, x).replace(Q, " y = Identity(k)"))
    infer_shapes(graph)
    found = [text for node, text in reasons(graph).items() if body.split()[2].startswith(node.op_type)]
    assert len(found) == 1 and reason in found[0]


@pytest.mark.parametrize("x", ["xd", "x"])
def test_a_normalization_that_takes_no_mean_off(x: str, lower: Lower) -> None:
    body = f"k = RMSNormalization<epsilon = 0.01>({x}, g)"
    assert "layer_norm" in lower(model(body, "2,3,4", "2,3,4", 23), share=0.999)
