"""onnxruntime's attention (com.microsoft): projections packed, given apart, or with shared heads."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.ops.attention import rotated
from graphopt.pytorch.exporter.ops.quantization import CONTRIB
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import attention as functions

_MASKED = -10000.0
"""What onnxruntime adds to the score of a masked key, unless told otherwise."""


@translates("RotaryEmbedding", domain=CONTRIB)
def rotary_embedding(site: Site) -> fx.Node:
    if site.attribute("is_packed_batching", 0) or site.attribute("scale", 1.0) != 1:
        site.refuse("it is of a packed batch, or scaled")
    return rotated(site, site.tensor(2), site.tensor(3), site.tensor(1))


@translates("Attention", domain=CONTRIB)
def attention(site: Site) -> list[fx.Node | None]:
    if site.attribute("do_rotary", 0) or site.attribute("past_present_share_buffer", 0):
        site.refuse("it rotates, or writes into its cache")
    heads = site.attribute("num_heads")
    sizes = site.attribute("qkv_hidden_sizes")
    packed = site.call(torch.matmul, site.tensor(0), site.tensor(1))
    if site.has(2):
        packed = site.call(operator.add, packed, site.tensor(2))
    if sizes:
        parts = site.method("split", packed, list(sizes), dim=-1)
    else:
        parts = site.method("chunk", packed, 3, dim=-1)
    query, key, value = (site.call(functions.split_heads, site.item(parts, i), heads) for i in range(3))
    present = None
    if site.has(4):
        past = site.tensor(4)
        key = site.call(torch.cat, [site.item(past, 0), key], dim=2)
        value = site.call(torch.cat, [site.item(past, 1), value], dim=2)
    if site.wants(1):
        present = site.call(torch.stack, [key, value])
    start = site.size(site.tensor(4), 3) if site.has(4) else None
    return [_attended(site, query, key, value, mask=3, bias=5, start=start), present]


@translates("MultiHeadAttention", domain=CONTRIB)
def multi_head_attention(site: Site) -> list[fx.Node | None]:
    if site.has(8) or site.has(9) or site.wants(3):
        site.refuse("it writes into its cache, or gives its scores")
    heads = site.attribute("num_heads")
    query, key, value = _projected(site, heads)
    start = None
    if site.has(6):
        start = site.size(site.tensor(6), 2)
        key = site.call(torch.cat, [site.tensor(6), key], dim=2)
        value = site.call(torch.cat, [site.tensor(7), value], dim=2)
    y = _attended(site, query, key, value, mask=4, bias=5, start=start)
    return [y, key if site.wants(1) else None, value if site.wants(2) else None]


@translates("GroupQueryAttention", domain=CONTRIB)
def group_query_attention(site: Site) -> list[fx.Node | None]:
    """Each query attends to the keys up to its position; how many there were is told for each sequence."""
    if any(site.has(index) for index in (11, 12, 13, 14, 15)) or site.wants(3):
        site.refuse("it has sinks, quantized caches or norms, or gives its scores")
    if site.attribute("smooth_softmax", 0) or site.attribute("sliding_window_cache", 0):
        site.refuse("its softmax is smooth, or its cache slides")
    heads, key_heads = site.attribute("num_heads"), site.attribute("kv_num_heads")
    if site.has(1):
        parts = [site.tensor(index) for index in range(3)]
        query, key, value = (
            site.call(functions.split_heads, part, count)
            for part, count in zip(parts, (heads, key_heads, key_heads), strict=True)
        )
    else:
        packed = site.call(functions.split_heads, site.tensor(0), heads + 2 * key_heads)
        split = site.method("split", packed, [heads, key_heads, key_heads], dim=1)
        query, key, value = (site.item(split, index) for index in range(3))
    start = site.call(functions.cache_start, site.tensor(5), site.tensor(6), query)
    if site.attribute("do_rotary", 0):
        places = site.optional(9)
        if places is None:
            places = site.call(functions.positions_from, start, query)
        interleaved = bool(site.attribute("rotary_interleaved", 0)) or None
        query, key = (
            site.call(
                functions.rotary_embedding_of_width,
                part,
                site.tensor(7),
                site.tensor(8),
                places,
                interleaved=interleaved,
            )
            for part in (query, key)
        )
    total = site.tensor(6)
    key = site.call(functions.cached, site.optional(3), key, start, total)
    value = site.call(functions.cached, site.optional(4), value, start, total)
    window = site.attribute("local_window_size", -1)
    mask = site.call(
        functions.attention_mask,
        query,
        key,
        site.optional(10),
        is_causal=bool(site.attribute("causal", 1)) or None,
        offset=start,
        before=None if window < 0 else window - 1,
    )
    scale, softcap = site.attribute("scale", 0.0), site.attribute("softcap", 0.0)
    pair = site.call(
        functions.attention, query, key, value, mask, scale=scale or None, softcap=softcap or None
    )
    y = site.call(functions.merge_heads, site.item(pair, 0))
    return [y, key, value]


def _projected(site: Site, heads: int) -> tuple[fx.Node, fx.Node, fx.Node]:
    """Query, key and value by head, from any of the forms in which they are given."""
    query = site.tensor(0)
    if not site.has(1):  # (batch, length, heads, 3, width)
        if site.has(3):
            site.refuse("it is packed and has a bias")
        parts = [site.call(torch.select, query, 3, index) for index in range(3)]
        query, key, value = (site.method("transpose", part, 1, 2) for part in parts)
        return query, key, value
    biases: list[Any] = [None, None, None]
    if site.has(3):
        widths = [query, site.tensor(1), site.tensor(2) if site.has(2) else site.tensor(1)]
        if site.rank(1) != 3 or not site.has(2):
            site.refuse("it has a bias for keys that are packed or split")
        sizes = [site.size(part, 2) for part in widths]
        split = site.method("split", site.tensor(3), sizes)
        biases = [site.item(split, index) for index in range(3)]
    query = _with_heads(site, query, biases[0], heads)
    if not site.has(2):  # (batch, length, heads, 2, width)
        parts = [site.call(torch.select, site.tensor(1), 3, index) for index in range(2)]
        key, value = (site.method("transpose", part, 1, 2) for part in parts)
        return query, key, value
    if site.rank(1) == 4:
        return query, site.tensor(1), site.tensor(2)
    key, value = (_with_heads(site, site.tensor(i), biases[i], heads) for i in (1, 2))
    return query, key, value


def _with_heads(site: Site, x: fx.Node, bias: fx.Node | None, heads: int) -> fx.Node:
    if bias is not None:
        x = site.call(operator.add, x, bias)
    return site.call(functions.split_heads, x, heads)


def _attended(
    site: Site, query: fx.Node, key: fx.Node, value: fx.Node, mask: int, bias: int, start: fx.Node | None
) -> fx.Node:
    """Attention with onnxruntime's masks, heads merged again."""
    is_causal = bool(site.attribute("unidirectional", 0))
    added = site.optional(bias)
    if site.has(mask):
        low = site.attribute("mask_filter_value", _MASKED)
        padding = site.call(functions.padding_mask, site.tensor(mask), query, key, low)
        added = padding if added is None else site.call(operator.add, padding, added)
    if is_causal and (added is not None or start is not None):
        added = site.call(functions.attention_mask, query, key, added, is_causal=True, offset=start)
        is_causal = False
    y = site.call(
        F.scaled_dot_product_attention,
        query,
        key,
        value,
        attn_mask=added,
        is_causal=is_causal or None,
        scale=site.attribute("scale", 0.0) or None,
    )
    return site.call(functions.merge_heads, y)
