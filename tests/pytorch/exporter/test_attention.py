"""Attention and rotary positions of the standard, by PyTorch's own attention where that is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from graphopt.pytorch.functional import attention as functions

HEADER = '<ir_version: 10, opset_import: ["" : {opset}]>\n'
RNG = np.random.default_rng(0)
SIGNATURE = "float[2,4,5,8] q, float[2,4,6,8] k, float[2,4,6,8] v"


def random(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


def operands(key_heads: int = 4, keys: int = 6) -> tuple[np.ndarray[Any, Any], ...]:
    return random(2, 4, 5, 8), random(2, key_heads, keys, 8), random(2, key_heads, keys, 8)


def graph(signature: str, body: str, opset: int = 23) -> str:
    return HEADER.format(opset=opset) + f"graph ({signature}) => (float[a,b,c,d] y) {{ {body} }}"


def test_plain_attention_is_pytorchs(agree: Any) -> None:
    module = agree(graph(SIGNATURE, "y = Attention<scale = 0.3>(q, k, v)"), *operands())
    assert "scaled_dot_product_attention(q, k, v, scale = 0.3)" in module.code


def test_causal_attention_is_pytorchs(agree: Any) -> None:
    module = agree(graph(SIGNATURE, "y = Attention<is_causal = 1>(q, k, v)"), *operands())
    assert "is_causal = True" in module.code
    assert "attention_mask" not in module.code


@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize("is_causal", [0, 1])
def test_masks(kind: str, is_causal: int, agree: Any) -> None:
    body = f"y = Attention<is_causal = {is_causal}>(q, k, v, m)"
    mask = RNG.random((5, 6)) > 0.3
    mask[1] = False  # a query that attends to nothing gives 0
    given = mask if kind == "bool" else np.where(mask, random(5, 6), -np.inf).astype(np.float32)
    agree(graph(f"{SIGNATURE}, {kind}[5,6] m", body), *operands(), given)


def test_a_mask_may_be_shorter_than_the_keys() -> None:
    query, key = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 3, 4)
    short = torch.tensor([[True, False], [False, True]])
    expected = [[True, False, False], [False, True, False]]
    assert functions.attention_mask(query, key, short).tolist() == expected
    added = functions.attention_mask(query, key, torch.zeros(2, 2))
    assert added.isinf().tolist() == [[False, False, True]] * 2


def test_heads_share_keys(agree: Any) -> None:
    signature = "float[2,4,5,8] q, float[2,2,6,8] k, float[2,2,6,8] v"
    module = agree(graph(signature, "y = Attention(q, k, v)"), *operands(2))
    assert "enable_gqa = True" in module.code


def test_heads_side_by_side(agree: Any) -> None:
    text = (
        HEADER.format(opset=23)
        + """
    graph (float[2,5,32] q, float[2,6,16] k, float[2,6,16] v) => (float[2,5,32] y) {
        y = Attention<q_num_heads = 4, kv_num_heads = 2>(q, k, v)
    }"""
    )
    agree(text, random(2, 5, 32), random(2, 6, 16), random(2, 6, 16))


def test_caches_and_scores(agree: Any) -> None:
    for mode in range(4):
        text = (
            HEADER.format(opset=24)
            + f"""
        graph ({SIGNATURE}, float[5,9] m, float[2,4,3,8] pk, float[2,4,3,8] pv)
            => (float[2,4,5,8] y, float[2,4,9,8] nk, float[2,4,9,8] nv, float[2,4,5,9] s)
        {{
            y, nk, nv, s = Attention<qk_matmul_output_mode = {mode}, softcap = 2.0>(q, k, v, m, pk, pv)
        }}"""
        )
        agree(text, *operands(), random(5, 9), random(2, 4, 3, 8), random(2, 4, 3, 8))


def test_keys_that_are_padding(agree: Any) -> None:
    signature = f"{SIGNATURE}, int64[2] n"
    for is_causal in (0, 1):
        body = f"y = Attention<is_causal = {is_causal}>(q, k, v, , , , n)"
        agree(graph(signature, body, 24), *operands(), np.array([5, 6]))


def test_a_causal_cache(agree: Any) -> None:
    signature = f"{SIGNATURE}, float[2,4,3,8] pk, float[2,4,3,8] pv"
    text = (
        HEADER.format(opset=24)
        + f"""
    graph ({signature}) => (float[2,4,5,8] y, float[2,4,9,8] nk, float[2,4,9,8] nv) {{
        y, nk, nv = Attention<is_causal = 1>(q, k, v, , pk, pv)
    }}"""
    )
    agree(text, *operands(), random(2, 4, 3, 8), random(2, 4, 3, 8))


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("width", [0, 4])
def test_rotary_positions(interleaved: int, width: int, agree: Any) -> None:
    half = (width or 8) // 2
    options = f"interleaved = {interleaved}, rotary_embedding_dim = {width}"
    caches = random(10, half), random(10, half)
    positions = RNG.integers(0, 10, (2, 5))
    signature = f"float[2,3,5,8] x, float[10,{half}] c, float[10,{half}] s, int64[2,5] p"
    body = f"y = RotaryEmbedding<{options}>(x, c, s, p)"
    agree(graph(signature, body), random(2, 3, 5, 8), *caches, positions)
    text = (
        HEADER.format(opset=23)
        + f"""
    graph (float[2,5,24] x, float[2,5,{half}] c, float[2,5,{half}] s) => (float[2,5,24] y) {{
        y = RotaryEmbedding<num_heads = 3, {options}>(x, c, s)
    }}"""
    )
    agree(text, random(2, 5, 24), random(2, 5, half), random(2, 5, half))


def test_spelled_attention_is_differentiated() -> None:
    query, key, value = (torch.randn(1, 1, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(3))
    mask = functions.attention_mask(query, key, is_causal=True)
    torch.autograd.gradcheck(
        lambda q, k, v: functions.attention(q, k, v, mask, softcap=1.5)[0], (query, key, value)
    )


def test_spelled_attention_can_be_exported_with_dynamic_lengths() -> None:
    class Spelled(torch.nn.Module):  # type: ignore[misc]
        def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            mask = functions.attention_mask(query, key, is_causal=True, offset=1)
            return functions.attention(query, key, key, mask, softcap=2.0)[0]

    example = torch.randn(2, 2, 3, 4), torch.randn(2, 2, 5, 4)
    lengths = dict.fromkeys((0, 2), torch.export.Dim.DYNAMIC)
    program = torch.export.export(Spelled(), example, dynamic_shapes=(lengths, lengths), strict=False)
    longer = torch.randn(3, 2, 6, 4), torch.randn(3, 2, 8, 4)
    torch.testing.assert_close(program.module()(*longer), Spelled()(*longer))
