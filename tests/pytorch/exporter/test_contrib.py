"""onnxruntime's own operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import TranslationError
from graphopt.pytorch import to_fx

HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1, "ai.onnx.ml" : 3]>\n'
RNG = np.random.default_rng(0)
BATCH, LENGTH, HEADS, WIDTH = 2, 5, 4, 16
HIDDEN = HEADS * WIDTH


def random(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


def text(inputs: dict[str, Any], outputs: str, body: str) -> str:
    """A graph of inputs shaped as their arrays."""
    kinds = {"float32": "float", "int32": "int32", "int64": "int64", "bool": "bool"}
    given = ", ".join(
        f"{kinds[str(array.dtype)]}[{','.join(map(str, array.shape))}] {name}"
        for name, array in inputs.items()
    )
    return HEADER + f"graph ({given}) => ({outputs}) {{ {body} }}"


@pytest.mark.parametrize(
    "call",
    [
        "Gelu(x)",
        "BiasGelu(x, b)",
        "FastGelu(x, b)",
        "FastGelu(x)",
        "QuickGelu(x)",
        "QuickGelu<alpha = 1.0>(x)",
    ],
)
def test_gelus(call: str, agree: Any) -> None:
    inputs = {"x": random(2, 3, 8), "b": random(8)}
    agree(text(inputs, "float[2,3,8] y", f"y = com.microsoft.{call}"), *inputs.values())


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [("Relu", ""), ("LeakyRelu", "0.2"), ("Clip", "-0.5, 0.7"), ("HardSigmoid", "0.3, 0.4"), ("Tanh", "")],
)
def test_fused_convolutions(activation: str, parameters: str, agree: Any) -> None:
    inputs = {"x": random(1, 4, 6, 6), "w": random(8, 4, 3, 3), "b": random(8), "z": random(1, 8, 6, 6)}
    given = f", activation_params = [{parameters}]" if parameters else ""
    options = f'pads = [1, 1, 1, 1], activation = "{activation}"{given}'
    for operands in ("x, w, b", "x, w, b, z") if activation == "Relu" else ("x, w, b",):
        body = f"c = com.microsoft.FusedConv<{options}>({operands}) y = MaxPool<kernel_shape = [2, 2]>(c)"
        agree(text(inputs, "float[1,8,5,5] y", body), *inputs.values())


def test_fused_products(agree: Any) -> None:
    inputs = {"a": random(3, 2, 4), "b": random(2, 5, 4)}
    body = "y = com.microsoft.FusedMatMul<transBatchA = 1, transB = 1, alpha = 0.25>(a, b)"
    module = agree(text(inputs, "float[2,3,5] y", body), *inputs.values())
    assert "matmul" in module.code
    inputs = {"a": random(3, 4), "b": random(5, 4), "c": random(5)}
    options = 'transB = 1, alpha = 0.5, activation = "LeakyRelu", activation_alpha = 0.2'
    body = f"y = com.microsoft.FusedGemm<{options}>(a, b, c)"
    agree(text(inputs, "float[3,5] y", body), *inputs.values())


def test_normalizations_of_sums(agree: Any) -> None:
    inputs = {"x": random(2, 3, 8), "k": random(2, 3, 8), "g": random(8), "s": random(8), "b": random(8)}
    outputs = "float[2,3,8] y, float[2,3,8] t"
    body = "y, , , t = com.microsoft.SkipLayerNormalization<epsilon = 0.00001>(x, k, g, s, b)"
    module = agree(text(inputs, outputs, body), *inputs.values())
    assert "layer_norm" in module.code
    inputs.pop("s")
    body = "y, , , t = com.microsoft.SkipSimplifiedLayerNormalization<epsilon = 0.00001>(x, k, g, b)"
    agree(text(inputs, outputs, body), *inputs.values())


def test_embeddings(agree: Any) -> None:
    ids, segments = RNG.integers(0, 9, (2, 5)).astype(np.int32), RNG.integers(0, 2, (2, 5)).astype(np.int32)
    tables = {"w": random(9, 8), "p": random(7, 8), "t": random(2, 8), "g": random(8), "b": random(8)}
    inputs = {"i": ids, "s": segments, **tables, "m": np.tri(2, 5, 2, dtype=np.int32)}
    body = "y, n = com.microsoft.EmbedLayerNormalization(i, s, w, p, t, g, b, m)"
    agree(text(inputs, "float[2,5,8] y, int32[2] n", body), *inputs.values())


MASKS = {
    "none": (None, ""),
    "lengths": (np.array([3, 5], np.int32), ""),
    "keys": (np.array([[1, 1, 0, 1, 1], [1, 1, 1, 0, 0]], np.int32), ""),
    "causal": (None, ", unidirectional = 1"),
    "both": (np.array([[1, 1, 0, 1, 1], [1, 1, 1, 0, 0]], np.int32), ", unidirectional = 1"),
}


@pytest.mark.parametrize("kind", list(MASKS))
def test_packed_attention(kind: str, agree: Any) -> None:
    mask, option = MASKS[kind]
    inputs = {
        "x": random(BATCH, LENGTH, HIDDEN),
        "w": random(HIDDEN, 3 * HIDDEN) / 8,
        "b": random(3 * HIDDEN),
        **({} if mask is None else {"m": mask}),
    }
    body = f"y = com.microsoft.Attention<num_heads = {HEADS}{option}>({', '.join(inputs)})"
    module = agree(text(inputs, f"float[{BATCH},{LENGTH},{HIDDEN}] y", body), *inputs.values())
    assert "scaled_dot_product_attention" in module.code


def test_packed_attention_with_a_cache(agree: Any) -> None:
    inputs = {
        "x": random(BATCH, LENGTH, HIDDEN),
        "w": random(HIDDEN, 3 * HIDDEN) / 8,
        "b": random(3 * HIDDEN),
        "p": random(2, BATCH, HEADS, 3, WIDTH),
    }
    options = f"num_heads = {HEADS}, unidirectional = 1"
    body = f"y, n = com.microsoft.Attention<{options}>(x, w, b, , p)"
    outputs = f"float[{BATCH},{LENGTH},{HIDDEN}] y, float[2,{BATCH},{HEADS},8,{WIDTH}] n"
    agree(text(inputs, outputs, body), *inputs.values())


def test_attention_of_heads_given_apart(agree: Any) -> None:
    keys = {"k": random(BATCH, 6, HIDDEN), "v": random(BATCH, 6, HIDDEN)}
    cache = {"pk": random(BATCH, HEADS, 3, WIDTH), "pv": random(BATCH, HEADS, 3, WIDTH)}
    inputs = {"q": random(BATCH, LENGTH, HIDDEN), **keys, "b": random(3 * HIDDEN), **cache}
    body = f"y, nk, nv = com.microsoft.MultiHeadAttention<num_heads = {HEADS}>(q, k, v, b, , , pk, pv)"
    cached = f"float[{BATCH},{HEADS},9,{WIDTH}]"
    outputs = f"float[{BATCH},{LENGTH},{HIDDEN}] y, {cached} nk, {cached} nv"
    agree(text(inputs, outputs, body), *inputs.values())


def test_rotary_positions(agree: Any) -> None:
    inputs = {
        "x": random(BATCH, LENGTH, HIDDEN),
        "p": np.array([3]),
        "c": random(20, WIDTH // 2),
        "s": random(20, WIDTH // 2),
    }
    body = "y = com.microsoft.RotaryEmbedding<interleaved = 1>(x, p, c, s)"
    agree(text(inputs, f"float[{BATCH},{LENGTH},{HIDDEN}] y", body), *inputs.values())


@pytest.mark.parametrize("past", [0, 4])
def test_attention_with_shared_heads(past: int, agree: Any) -> None:
    length = 1 if past else LENGTH
    total = past + length
    inputs = {
        "q": random(BATCH, length, HIDDEN),
        "k": random(BATCH, length, 2 * WIDTH),
        "v": random(BATCH, length, 2 * WIDTH),
        "pk": random(BATCH, 2, past, WIDTH),
        "pv": random(BATCH, 2, past, WIDTH),
        "n": np.full(BATCH, total - 1, np.int32),
        "t": np.array([total], np.int32),
        "c": random(20, WIDTH // 2),
        "s": random(20, WIDTH // 2),
    }
    options = f"num_heads = {HEADS}, kv_num_heads = 2, do_rotary = 1"
    body = f"y, nk, nv = com.microsoft.GroupQueryAttention<{options}>({', '.join(inputs)})"
    cached = f"float[{BATCH},2,{total},{WIDTH}]"
    outputs = f"float[{BATCH},{length},{HIDDEN}] y, {cached} nk, {cached} nv"
    agree(text(inputs, outputs, body), *inputs.values())


def test_operators_of_the_standard_under_another_name(agree: Any) -> None:
    inputs = {"x": random(3, 4)}
    agree(text(inputs, "float[3,4] y", "y = com.microsoft.Trilu(x)"), *inputs.values())
    inputs = {"x": random(2, 3, 3) + 3 * np.eye(3, dtype=np.float32)}
    agree(text(inputs, "float[2,3,3] y", "y = com.microsoft.Inverse(x)"), *inputs.values())
    inputs = {"x": np.array([3, 1, 3, 2], np.float32)}
    outputs = "float[a] y, int64[4] i, int64[a] n"
    agree(text(inputs, outputs, "y, i, n = com.microsoft.Unique(x)"), *inputs.values())


def test_what_cannot_be_said_in_pytorch_is_refused_with_the_reason() -> None:
    inputs = {"x": random(2, 3, 8), "k": random(2, 3, 8), "g": random(8)}
    body = "y, m = com.microsoft.SkipLayerNormalization(x, k, g)"
    with pytest.raises(TranslationError, match="its mean or deviation is used"):
        to_fx(ir.from_onnx_text(text(inputs, "float[2,3,8] y, float[2,3,1] m", body)))


@pytest.mark.parametrize(
    "call",
    [
        'Normalizer<norm = "L2">(x)',
        "Scaler<offset = [0.1, 0.2, 0.3], scale = [1.0, 2.0, 3.0]>(x)",
        "Imputer<imputed_value_floats = [7.0], replaced_value_float = 2.0>(x)",
        "Binarizer<threshold = 0.3>(x)",
        "LabelEncoder<keys_floats = [1.0, 2.0], values_floats = [5.0, 6.0], default_float = 7.0>(x)",
        "LinearRegressor<coefficients = [1.0, 2.0, 3.0], intercepts = [0.5]>(x)",
    ],
)
def test_classical_models(call: str, agree: Any) -> None:
    inputs = {"x": np.array([[1, 2, -3], [0.5, -0.2, 2]], np.float32)}
    agree(text(inputs, "float[a,b] y", f"y = ai.onnx.ml.{call}"), *inputs.values())
