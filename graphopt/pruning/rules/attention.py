"""Attention and what turns its queries and keys: heads go, the elements of a head stay.

Where each head of keys and values serves several of queries, it goes with all of those; or, where there are
fewer such heads than each serves, every one of them loses the queries at the same places.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int
from graphopt.pruning.site import Axis, Index, Site


@dataclasses.dataclass(frozen=True)
class _Heads:
    """Heads along an axis.

    Attributes:
        axis: The axis.
        size: Elements of the axis that a head has.
        count: How many heads there are.
    """

    axis: Axis
    size: int
    count: int

    def elements(self, heads: Index, element: int) -> Index:
        """Where elements at a place of heads are."""
        return heads * self.size + element


def attention(site: Site, node: ir.Node) -> None:
    """Q, K, V and Y have heads along axis 1, or in the last of three axes, element by element."""
    if len(node.outputs) > 1 or len(node.inputs) < 3 or any(value is not None for value in node.inputs[4:]):
        return
    values = [*node.inputs[:3], node.outputs[0]]
    ranks = {len(site.dims(value) or ()) for value in values}
    if len(ranks) != 1 or not ranks <= {3, 4}:
        return
    found = [_heads(site, node, value, index) for index, value in enumerate(values)]
    q, k, v, y = found
    if q is None or k is None or v is None or y is None or not _fit(q.count, k.count, v.count, y.count):
        return
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    rows = _mask_of_each_head(site, mask)
    if rows is not None and site.size(rows.value, rows.axis) != q.count:
        return
    _batch_and_length(site, node, packed=ranks == {3})
    _tie(site, node, (q, k, v, y))
    if rows is not None:
        heads = np.arange(q.count)
        site.link(node, rows, q.axis, heads, q.elements(heads, 0))
    dims = site.dims(mask)
    if mask is not None and dims is not None and len(dims) == 4 and dims[0] != 1:
        site.link(node, Axis(mask, 0), Axis(y.axis.value, 0))


def _mask_of_each_head(site: Site, mask: ir.Value | None) -> Axis | None:
    """The axis of a mask that runs over heads; None where all have the same."""
    dims = site.dims(mask)
    if mask is None or dims is None or len(dims) < 3 or dims[-3] == 1:
        return None
    return Axis(mask, len(dims) - 3)


def _heads(site: Site, node: ir.Node, value: ir.Value | None, index: int) -> _Heads | None:
    if value is None:
        return None
    if len(site.dims(value) or ()) == 3:
        return _packed(site, node, value, "kv_num_heads" if index in (1, 2) else "q_num_heads")
    count = site.size(value, 1)
    return None if count is None else _Heads(Axis(value, 1), 1, count)


def _packed(site: Site, node: ir.Node, value: ir.Value, counted_by: str) -> _Heads | None:
    """Heads in the last of three axes, of which an attribute tells the number."""
    count, width = attribute_int(node, counted_by, 0), site.size(value, 2)
    if not count or width is None or width % count:
        return None
    return _Heads(Axis(value, 2), width // count, count)


def _fit(queries: int, keys: int, values: int, outputs: int) -> bool:
    return keys == values and queries == outputs and queries % keys == 0


def _batch_and_length(site: Site, node: ir.Node, *, packed: bool) -> None:
    q, k, v = node.inputs[:3]
    y = node.outputs[0]
    assert q is not None and k is not None and v is not None
    length = 1 if packed else 2
    for value in (q, k, v):
        site.link(node, Axis(value, 0), Axis(y, 0))
    site.link(node, Axis(q, length), Axis(y, length))
    if packed:
        site.link(node, Axis(k, length), Axis(v, length))
        return
    site.link(node, Axis(v, 3), Axis(y, 3))
    if "scale" in node.attributes:
        site.link(node, Axis(q, 3), Axis(k, 3))


def _tie(site: Site, node: ir.Node, heads: tuple[_Heads, _Heads, _Heads, _Heads]) -> None:
    q, k, v, y = heads
    each = q.count // k.count
    shared = np.arange(k.count)
    firsts = q.elements(shared * each, 0)
    if k.count >= each:  # a head of keys and values goes with its queries
        for of_keys in (k, v):
            for element in range(of_keys.size):
                site.link(node, q.axis, of_keys.axis, firsts, of_keys.elements(shared, element))
        for of_queries in (q, y):
            for member in range(each):
                for element in range(of_queries.size):
                    places = of_queries.elements(shared * each + member, element)
                    site.link(node, q.axis, of_queries.axis, firsts, places)
        return
    for of_keys in (k, v):
        site.block(node, of_keys.axis, "each of its heads serves several heads of queries")
    members = np.arange(each)
    for of_queries in (q, y):
        for head in range(k.count):
            for element in range(of_queries.size):
                places = of_queries.elements(head * each + members, element)
                site.link(node, q.axis, of_queries.axis, q.elements(members, 0), places)


def rotary_embedding(site: Site, node: ir.Node) -> None:
    """Every head is turned alike: heads are axis 1, or parts of the last of three axes."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or len(dims) not in (3, 4) or len(site.dims(y) or ()) != len(dims):
        return
    site.link(node, Axis(x, 0), Axis(y, 0))
    if len(dims) == 4:
        site.link(node, Axis(x, 1), Axis(y, 1))
        return
    heads = _packed(site, node, x, "num_heads")
    if heads is None:
        return
    site.link(node, Axis(x, 2), Axis(y, 2))
    every = np.arange(heads.count)
    for element in range(1, heads.size):
        site.link(node, heads.axis, heads.axis, heads.elements(every, 0), heads.elements(every, element))


RULES = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
}
