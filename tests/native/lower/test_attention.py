"""Attention as products of floats with a softmax between them: as onnxruntime computes it, or a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from graphopt.ir import infer_shapes
from graphopt.native import compile, reasons
from graphopt.native.compiled import compile_regions
from graphopt.native.lower import lowered
from graphopt.testing import parse_model

Q, K, V = "b,4,l,8", "b,4,m,8", "b,4,m,6"
FLAT = "heads = ", ("b,l,32", "b,m,32", "b,m,24")


def model(
    attributes: str = "",
    ports: tuple[str, str, str] = (Q, K, V),
    y: str = "b,4,l,6",
    mask: str = "",
    coded: bool = False,
    opset: int = 23,
) -> str:
    """A model of q, k, v and perhaps a mask, the first three behind codes or not."""
    inputs = ", ".join(f"float[{dims}] {name}" for dims, name in zip(ports, "qkv", strict=True))
    extra = f", {mask} mask" if mask else ""
    codes = "".join(
        f"{name}q = QuantizeLinear({name}, s, z) {name}d = DequantizeLinear({name}q, s, z) " for name in "qkv"
    )
    names = "qd, kd, vd" if coded else "q, k, v"
    node = f"Attention<{attributes}>" if attributes else "Attention"
    call = f"{node}({names}{', mask' if mask else ''})"
    end = (
        f"f = {call} fq = QuantizeLinear(f, s, z) y = DequantizeLinear(fq, s, z)" if coded else f"y = {call}"
    )
    return f"""<ir_version: 10, opset_import: ["" : {opset}]> g ({inputs}{extra}) => (float[{y}] y)
        <float s = {{0.05}}, uint8 z = {{128}}> {{ {codes if coded else ""} {end} }}"""


def agree(text: str, tolerance: float = 1e-5, **sizes: int) -> list[str]:
    """The kinds of the steps, once the program gave what onnxruntime does."""
    graph = parse_model(text)
    rng, inputs = np.random.default_rng(0), dict[str, Any]()
    for value in graph.graph.inputs:
        assert value.shape is not None and value.name
        shape = [dim if isinstance(dim, int) else sizes[str(dim.value)] for dim in value.shape]
        mask = rng.random(shape) < 0.7
        numbers = rng.normal(0, 1, shape).astype(np.float32)
        inputs[value.name] = mask if value.dtype == ir.DataType.BOOL else numbers
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    (expected,) = session.run(None, inputs)
    program = compile(graph)
    (found,) = program.run(inputs)
    np.testing.assert_allclose(found, expected, atol=tolerance)
    np.testing.assert_array_equal(found, program.reference(inputs)[0])
    return [step.kind for step in lowered(parse_model(text), floats_too=True).steps.steps]


def test_heads_in_an_axis_of_their_own() -> None:
    for sizes in ({"b": 2, "l": 5, "m": 7}, {"b": 1, "l": 1, "m": 3}):
        kinds = agree(model(), **sizes)
        assert kinds.count("matmul_f32") == 2 and "softmax" in kinds and "transpose" not in kinds
    agree(model("scale = 0.7"), b=2, l=5, m=7)


def test_heads_in_one_axis_with_their_elements() -> None:
    ports, heads = ("b,l,32", "b,m,32", "b,m,24"), "q_num_heads = 4, kv_num_heads = 4"
    assert agree(model(heads, ports, "b,l,24"), b=2, l=5, m=7).count("transpose") == 4


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("mask", ["", "float[l,m]", "bool[l,m]"])
def test_heads_that_share_keys(flat: bool, mask: str) -> None:
    ports = ("b,l,32", "b,m,16", "b,m,12") if flat else (Q, "b,2,m,8", "b,2,m,6")
    heads = "q_num_heads = 4, kv_num_heads = 2" if flat else ""
    agree(model(heads, ports, "b,l,24" if flat else "b,4,l,6", mask), b=2, l=5, m=7)
    known = model(heads, ports, "b,l,24" if flat else "b,4,l,6", mask).replace("l,", "5,").replace("m,", "7,")
    agree(known.replace("[5,m]", "[5,7]"), b=3)


@pytest.mark.parametrize(
    "mask",
    [
        "float[l,m]",
        "float[b,1,l,m]",
        "float[b,4,l,m]",
        "float[4,l,m]",
        "bool[l,m]",
        "bool[b,1,l,m]",
        "bool[b,4,l,m]",
    ],
)
def test_masks(mask: str) -> None:
    kinds = agree(model(mask=mask), b=2, l=5, m=7)
    assert ("where" in kinds) == mask.startswith("bool")


@pytest.mark.parametrize("kind", ["float", "bool"])
def test_masks_of_one_row(kind: str) -> None:
    """Which onnxruntime does not take, though they can be broadcast."""
    rng = np.random.default_rng(0)
    inputs = [
        rng.normal(0, 1, shape).astype(np.float32) for shape in ((2, 4, 5, 8), (2, 4, 7, 8), (2, 4, 7, 6))
    ]
    row = (
        rng.random((2, 1, 1, 7)) < 0.7
        if kind == "bool"
        else rng.normal(0, 1, (2, 1, 1, 7)).astype(np.float32)
    )
    (found,) = compile(parse_model(model(mask=f"{kind}[b,1,1,m]"))).run([*inputs, row])
    (expected,) = compile(parse_model(model(mask=f"{kind}[b,1,l,m]"))).run([*inputs, row.repeat(5, 2)])
    np.testing.assert_array_equal(found, expected)


def test_only_what_came_before_counts() -> None:
    ports = ("b,4,l,8", "b,4,l,8", "b,4,l,6")
    assert "range" in agree(model("is_causal = 1", ports), b=2, l=6)
    fixed = model("is_causal = 1", ("2,4,6,8", "2,4,6,8", "2,4,6,6"), "2,4,6,6")
    assert "range" not in agree(fixed)
    agree(model("is_causal = 1"), b=2, l=3, m=5)
    agree(model("is_causal = 1"), b=2, l=5, m=3)


def test_codes_are_moved_as_codes() -> None:
    ports, heads = ("b,l,32", "b,m,32", "b,m,24"), "q_num_heads = 4, kv_num_heads = 4"
    kinds = agree(model(heads, ports, "b,l,24", coded=True), 0.0501, b=2, l=5, m=7)
    decoders = [place for place, kind in enumerate(kinds) if kind in ("decode", "dequantize")]
    first = kinds.index("matmul_f32")
    assert len([place for place in decoders if place < first]) >= 2
    assert kinds[:first].index("transpose") < decoders[0]
    # The result is encoded before it is brought back.
    assert kinds.index("quantize", first) < kinds.index("transpose", first)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (model("softcap = 3.0"), "whose scores are capped"),
        (model("softmax_precision = 11"), "a softmax of another type than float32"),
        (model("", ("b,l,32", "b,m,32", "b,m,24"), "b,l,24"), "without q_num_heads"),
        (model("", (Q, "b,3,m,8", "b,3,m,6")), "4 heads of queries for 3 of keys"),
        (model("", ("b,4,l,d", "b,4,m,d", V)), "a size that it needs is not known"),
        (model().replace("(q, k, v)", "(q, k, v, , k, v)"), "with a cache, or whose scores are read"),
        (model().replace("y = A", "y, r, w = A").replace("6] y)", "6] y, float[b,4,m,8] r)"), "whose scores"),
    ],
)
def test_other_attention_has_a_reason(text: str, reason: str) -> None:
    graph = parse_model(text)
    infer_shapes(graph)
    (found,) = lowered(graph, floats_too=True).reasons.values()
    assert reason in found


def test_a_runtime_computes_it_beside_programs() -> None:
    graph = parse_model(model(coded=True))
    infer_shapes(graph)
    assert set(reasons(graph).values()) == {"it is in float"}
    assert compile_regions(graph).compiled == []
