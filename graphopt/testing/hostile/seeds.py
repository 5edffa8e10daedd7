"""The valid models that mutations start from: texts with all that a file can hold, ONNX's own, a folder's.

All small, so that thousands of mutants take minutes.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import helper, parser

from graphopt.ir.opsets import NEWEST_OPSET

LARGEST_SEED_BYTES = 1 << 20

_TEXTS = {
    "mlp": """<ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,2] y)
        <float[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[3] b = {1,2,3}, float[3,2] v = {1,0,-1,2,3,1}> {
        t = MatMul(x, w) a = Add(t, b) r = Relu(a) y = MatMul(r, v) }""",
    "conv": """<ir_version: 8, opset_import: ["" : 13]> g (float[1,2,8,8] x) => (float[1,2,1,1] y)
        <float[2,2,1,1] w = {1,2,3,4}, float[2] s = {1,2}, float[2] m = {0,1}, float[2] v = {1,4}> {
        c = Conv <kernel_shape = [1,1], pads = [0,0,1,1], strides = [2,2]> (x, w)
        n = BatchNormalization(c, s, m, m, v) r = Relu(n)
        p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (r) y = GlobalAveragePool(p) }""",
    "shapes": """<ir_version: 8, opset_import: ["" : 16]> g (float[N,3,H] x) => (float[M,3] y, int64[3] s)
        <int64 zero = {0}, int64[1] minus = {-1}, int64[1] three = {3}, int64[1] axes = {0}> {
        s = Shape(x) n = Gather(s, zero) u = Unsqueeze(n, axes) k = Concat <axis = 0> (minus, three)
        t = Transpose <perm = [0,2,1]> (x) y = Reshape(t, k) e = Expand(u, three) }""",
    "if": """<ir_version: 8, opset_import: ["" : 16]> g (bool c, float[2] x) => (float[2] y)
        <float[2] k = {1,2}> { y = If (c) <then_branch = t () => (float[2] p) { q = Add(x, k) p = Neg(q) },
                    else_branch = f () => (float[2] r) <float[2] z = {3,4}> { r = Mul(x, z) }> }""",
    "loop": """<ir_version: 8, opset_import: ["" : 16]> g (float[2] x) => (float[2] y, float[K,2] z)
        <int64 n = {3}, bool c = {1}, float[2] one = {1,1}> {
        y, z = Loop (n, c, x) <body = b (int64 i, bool go, float[2] acc)
            => (bool more, float[2] next, float[2] out) {
            more = Identity(go) f = Cast <to = 1> (i) next = Add(acc, f) out = Mul(next, one) }> }""",
    "scan": """<ir_version: 8, opset_import: ["" : 16]>
        g (float[2] s, float[3,2] x) => (float[2] l, float[3,2] a) {
        l, a = Scan <num_scan_inputs = 1, body = b (float[2] acc, float[2] e) => (float[2] n, float[2] o) {
            n = Add(acc, e) o = Identity(n) }> (s, x) }""",
    "functions": """<ir_version: 9, opset_import: ["" : 18, "local" : 1]> g (float[2,3] x) => (float[2,3] y) {
        a = local.leaky <slope = 0.5> (x) b = local.twice(a) y = local.leaky(b) }
        <domain: "local", opset_import: ["" : 18]>
        leaky <slope: float = 0.125> (p) => (q) { q = LeakyRelu <alpha: float = @slope> (p) }
        <domain: "local", opset_import: ["" : 18, "local" : 1]>
        twice (p) => (q) { r = local.leaky(p) q = Add(r, r) }""",
    "sequences": """<ir_version: 8, opset_import: ["" : 17]>
        g (float[4,2] x, seq(float[N]) s) => (float[2,2] y, seq(float[K]) t, int64 n) <int64 one = {1}> {
        parts = SplitToSequence <axis = 0> (x, two) two = Constant <value_int = 2> ()
        y = SequenceAt(parts, one) e = SequenceAt(s, one) t = SequenceInsert(s, e) n = SequenceLength(s) }""",
    "texts": """<ir_version: 8, opset_import: ["" : 19]> g (string[2,2] x) => (string[4] y, bool[2,2] z)
        <string[2] a = {"a", "b"}, int64[1] flat = {-1}> { y = Reshape(x, flat) z = Equal(x, a) }""",
    "quantized": """<ir_version: 8, opset_import: ["" : 17]> g (float[2,4] x) => (float[2,3] y)
        <float s = {0.5}, uint8 z = {128}, int8[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}, int8 wz = {0}> {
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) v = DequantizeLinear(w, s, wz)
        y = MatMul(d, v) }""",
    "recurrent": """<ir_version: 8, opset_import: ["" : 14]>
        g (float[3,1,2] x) => (float[3,1,1,2] y, float[1,1,2] h) {
        w = ConstantOfShape <value: tensor = float[1] {0.5}> (ws) ws = Constant <value_ints = [1,8,2]> ()
        r = ConstantOfShape <value: tensor = float[1] {0.25}> (ws)
        y, h = LSTM <hidden_size = 2> (x, w, r) }""",
    "attention": """<ir_version: 8, opset_import: ["" : 17]> g (float[1,4,8] x) => (float[1,4,8] y)
        <float scale = {0.5}, float[8] gain = {1,1,1,1,1,1,1,1}> {
        n = LayerNormalization(x, gain) k = Transpose <perm = [0,2,1]> (n) p = MatMul(n, k) s = Mul(p, scale)
        w = Softmax(s) o = MatMul(w, n) y = Add(o, x) }""",
    "resize": """<ir_version: 8, opset_import: ["" : 13]> g (float[1,1,4,4] x) => (float[1,1,8,8] y)
        <float[4] scales = {1,1,2,2}, int64[8] pads = {0,0,0,0,0,0,0,0}> {
        p = Pad(x, pads) y = Resize <mode = "nearest"> (p, , scales) }""",
}  # fmt: skip


def own_seeds() -> dict[str, onnx.ModelProto]:
    """Models written here, by name; fresh copies."""
    found = {name: parser.parse_model(text) for name, text in _TEXTS.items()}
    found["sparse"] = _sparse()
    return found


def light_seeds() -> dict[str, onnx.ModelProto]:
    """The networks that ONNX ships for its backend tests, their weights made by nodes."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return {path.stem: onnx.load(path) for path in sorted(folder.glob("light_*.onnx"))}


def node_seeds() -> dict[str, onnx.ModelProto]:
    """ONNX's backend node tests: nearly every operator, in one or a few nodes each."""
    from onnx.backend.test.case import node

    with warnings.catch_warnings():  # about the numbers that it computes for them
        warnings.simplefilter("ignore")
        cases = node.collect_testcases("")
    models = {case.name: case.model for case in cases if case.model is not None}
    return {name: _readable_opset(model) for name, model in models.items() if _is_small(model)}


def folder_seeds(folder: Path) -> dict[str, onnx.ModelProto]:
    """The models in and below a folder that can be read and are small."""
    return dict(_readable(folder))


@functools.cache
def all_seeds(nodes: bool = True) -> dict[str, onnx.ModelProto]:
    """Own seeds, and ONNX's where asked for; not to be changed."""
    return {**own_seeds(), **light_seeds(), **(node_seeds() if nodes else {})}


def _readable(folder: Path) -> Iterator[tuple[str, onnx.ModelProto]]:
    for path in sorted(folder.rglob("*.onnx")):
        if path.stat().st_size < LARGEST_SEED_BYTES:
            try:
                yield str(path.relative_to(folder)), onnx.load(path, load_external_data=False)
            except Exception:  # any parser's error: the file is no seed
                continue


def _is_small(model: onnx.ModelProto) -> bool:
    return bool(model.ByteSize() < LARGEST_SEED_BYTES)


def _readable_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, at the newest opset that is read if it is newer: else its mutants would get no further."""
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = min(entry.version, NEWEST_OPSET)
    return model


def _sparse() -> onnx.ModelProto:
    values = helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [2.0, 3.0])
    indices = helper.make_tensor("i", onnx.TensorProto.INT64, [2], [1, 5])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "sparse",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 2])],
        sparse_initializer=[helper.make_sparse_tensor(values, indices, [3, 2])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
