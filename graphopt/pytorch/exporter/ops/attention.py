"""Attention and rotary positions, as `F.scaled_dot_product_attention` where that is the same."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import attention as functions


@translates("Attention")
def attention(site: Site) -> list[fx.Node | None]:
    heads, key_heads = site.attribute("q_num_heads"), site.attribute("kv_num_heads")
    flat = site.rank(0) == 3 or (site.rank(0) is None and heads is not None)
    query, key, value = (site.tensor(index) for index in range(3))
    if flat:
        query = site.call(functions.split_heads, query, heads)
        key, value = (site.call(functions.split_heads, part, key_heads) for part in (key, value))
    offset: Any = 0
    if site.has(4):
        past = site.tensor(4)
        offset = site.size(past, 2)
        key = site.call(torch.cat, [past, key], dim=2)
        value = site.call(torch.cat, [site.tensor(5), value], dim=2)
    scale, softcap = site.attribute("scale"), site.attribute("softcap", 0.0)
    precision = site.torch_type("softmax_precision")
    is_causal = bool(site.attribute("is_causal", 0))
    mask = site.optional(3)
    plain = _is_plain(site, is_causal)
    if not plain and (is_causal or mask is not None or site.has(6) or _window(site)):
        if site.has(6):
            offset = site.call(torch.sub, site.tensor(6), site.size(query, 2))
        mask = site.call(
            functions.attention_mask,
            query,
            key,
            mask,
            is_causal=is_causal or None,
            offset=offset if isinstance(offset, fx.Node) else None,
            lengths=site.optional(6),
            **_window(site),
        )
        is_causal = False
    wants_scores = site.wants(3)
    is_exact = precision in (None, torch.float32) or precision == site.torch_type("", site.dtype(0))
    if not softcap and not wants_scores and is_exact:
        y = site.call(
            F.scaled_dot_product_attention,
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=is_causal or None,
            scale=scale,
            enable_gqa=_shares_heads(site, heads, key_heads) or None,
        )
        scores = None
    else:
        pair = site.call(
            functions.attention,
            query,
            key,
            value,
            _with_causality(site, query, key, mask, is_causal),
            scale=scale,
            softcap=softcap or None,
            precision=precision,
            scores=site.attribute("qk_matmul_output_mode", 0) or None,
        )
        y, scores = site.item(pair, 0), site.item(pair, 1) if wants_scores else None
    if flat:
        y = site.call(functions.merge_heads, y)
    return [y, key if site.wants(1) else None, value if site.wants(2) else None, scores]


@translates("RotaryEmbedding")
def rotary_embedding(site: Site) -> fx.Node:
    return rotated(site, site.tensor(1), site.tensor(2), site.optional(3))


def rotated(site: Site, cos: fx.Node, sin: fx.Node, positions: fx.Node | None) -> fx.Node:
    """The first input of a node rotated by its attributes."""
    x, heads = site.tensor(0), site.attribute("num_heads", 0)
    flat = site.rank(0) == 3 or (site.rank(0) is None and heads)
    width = site.attribute("rotary_embedding_dim", 0)
    if flat:
        if not heads:
            heads = site.compute(_quotient, site.size(x, 2), site.compute(_double, site.size(cos, -1)))
        x = site.call(functions.split_heads, x, heads)
    y = site.call(
        functions.rotary_embedding,
        x,
        cos,
        sin,
        positions,
        interleaved=bool(site.attribute("interleaved", 0)) or None,
        width=width or None,
    )
    return site.call(functions.merge_heads, y) if flat else y


def _quotient(a: int, b: int) -> int:
    return a // b


def _double(a: int) -> int:
    return a * 2


def _window(site: Site) -> dict[str, int]:
    found = {"before": "left_window_size", "after": "right_window_size"}
    sizes = {name: site.attribute(attribute, -1) for name, attribute in found.items()}
    return {name: size for name, size in sizes.items() if size >= 0}


def _is_plain(site: Site, is_causal: bool) -> bool:
    """Whether PyTorch's mask and its causality mean the same: not both, no cache before a causal one."""
    if site.has(6) or _window(site):
        return False
    if is_causal:
        return not site.has(3) and not site.has(4)
    if not site.has(3):
        return True
    return (
        site.rank(3) in (2, 3, 4)
        and _covers_keys(site)
        and site.dtype(3) in (ir.DataType.BOOL, site.dtype(0))
    )


def _covers_keys(site: Site) -> bool:
    """Whether the mask is known to be as long as the keys: in version 23 it has to be."""
    if site.opset() < 24:
        return True
    if site.has(4):
        return False
    mask, key = site.node.inputs[3], site.node.inputs[1]
    if mask is None or key is None or mask.shape is None or key.shape is None:
        return False
    ours, theirs = mask.shape[-1], key.shape[-2]
    if isinstance(ours, int) or isinstance(theirs, int):
        return ours == theirs
    return ours.value is not None and ours == theirs


def _shares_heads(site: Site, heads: int | None, key_heads: int | None) -> bool:
    if heads is not None and key_heads is not None:
        return heads != key_heads
    query, key = site.shape(0), site.shape(1)
    if query is not None and key is not None:
        return query[1] != key[1]
    values = [site.node.inputs[index] for index in (0, 1)]
    shapes = [None if value is None else value.shape for value in values]
    if any(shape is None for shape in shapes):
        return True
    first, second = (shape[1] for shape in shapes if shape is not None)
    return first != second


def _with_causality(
    site: Site, query: fx.Node, key: fx.Node, mask: fx.Node | None, is_causal: bool
) -> fx.Node | None:
    return site.call(functions.attention_mask, query, key, mask, is_causal=True) if is_causal else mask
