"""Merge products of one value with several constant matrices into one product and a Split.

    x Wq, x Wk, x Wv  ->  Split(x [Wq Wk Wv])           with their biases, where all have one

Not part of a level, since it rarely pays. Time of the merged over the separate form in onnxruntime 1.31 with
attention behind it, one thread, by rows and width:

    width     1 row   8 rows   32 rows   128 rows   512 rows
       64      0.96     0.94      0.95       0.99       1.08
      384      1.00     1.02      1.03       1.06       1.16
      768      0.98     1.01      0.98       1.11

The Split copies what separate products write where it is needed. Besides, only separate products lose the
biases of keys and values (see `absorb-affine`), which takes 0.91-1.0 of the time. So by default only matrices
of up to 4,096 elements are merged, where one call less counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    PROVENANCE_KEY,
    Changes,
    Names,
    Reject,
    constant,
    constant_tensor,
    constant_value,
    graph_and_bodies,
    opset,
    remove_node,
    replace_value,
)
from graphopt.ir.shapes import infer_node
from graphopt.passes.algebra.slices_to_split import FIRST_OPSET_WITH_INPUT
from graphopt.passes.fusion._arrays import FLOATS
from graphopt.pipeline import Pass

LARGEST = 4096
"""Elements of a matrix, up to which one call less was measured to weigh more than a Split."""


@dataclass(frozen=True)
class _Product:
    """A MatMul, and the Add of a bias behind it if there is one.

    Attributes:
        nodes: The MatMul, the Add.
        matrix: [K, N].
        bias: [N], or None.
    """

    nodes: tuple[ir.Node, ...]
    matrix: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
    bias: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None

    @property
    def output(self) -> ir.Value:
        """What it comes to."""
        return self.nodes[-1].outputs[0]


@dataclass(frozen=True)
class MergeMatmuls(Pass):
    """Merge products of one value with several constant matrices.

    Attributes:
        largest: Elements of a matrix up to which it is merged with others.
    """

    name: ClassVar[str] = "merge-matmuls"
    largest: int = LARGEST

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names = Names(model)
        for graph in graph_and_bodies(model.graph):
            readers: dict[ir.Value, list[ir.Node]] = {}
            for node in graph:
                if node.op_type == "MatMul" and not node.domain and node.inputs[0] is not None:
                    readers.setdefault(node.inputs[0], []).append(node)
            for nodes in readers.values():
                value = nodes[0].inputs[0]  # a product merged before may have come to be part of another
                if len(nodes) < 2 or value is None:
                    continue
                try:
                    products = [self._product(value, node) for node in nodes]
                    _merge(model, graph, value, products, names)
                    changes.add("products of one value merged")
                except Reject as reason:
                    changes.refuse(str(reason), nodes[0].name)

    def _product(self, value: ir.Value, node: ir.Node) -> _Product:
        weight = node.inputs[1]
        tensor = constant_tensor(weight)
        matrix = constant(weight)
        if (
            weight is None
            or tensor is None
            or matrix is None
            or tensor.dtype not in FLOATS
            or matrix.ndim != 2
        ):
            raise Reject("a matrix is not a floating-point constant")
        if matrix.size > self.largest:
            raise Reject(f"a matrix of {matrix.size} elements: the Split would cost more than is saved")
        if len(weight.uses()) > 1 or node.outputs[0].is_graph_output():
            raise Reject("a matrix is used elsewhere, or a product is an output of the graph")
        uses = list(node.outputs[0].uses())
        reader = uses[0].node if len(uses) == 1 else None
        if reader is None or reader.op_type != "Add" or reader.domain or reader.graph is not node.graph:
            return _Product((node,), matrix, None)
        bias = constant(reader.inputs[1 - uses[0].idx])
        if bias is None or bias.shape != matrix.shape[1:] or reader.outputs[0].is_graph_output():
            return _Product((node,), matrix, None)
        return _Product((node, reader), matrix, bias)


def _merge(model: ir.Model, graph: ir.Graph, value: ir.Value, products: list[_Product], names: Names) -> None:
    first = products[0].nodes[0]
    if any(product.matrix.dtype != products[0].matrix.dtype for product in products):
        raise Reject("the matrices differ in dtype")
    biased = all(product.bias is not None for product in products)
    if not biased:
        products = [_Product(product.nodes[:1], product.matrix, None) for product in products]
    joined = np.concatenate([product.matrix for product in products], axis=1)
    made = _node("MatMul", [value, _constant(graph, joined, "weights", names)], {}, 1, names)
    nodes = [made]
    if biased:
        bias = np.concatenate([product.bias for product in products if product.bias is not None])
        nodes.append(_node("Add", [made.outputs[0], _constant(graph, bias, "biases", names)], {}, 1, names))
    sizes = [product.matrix.shape[1] for product in products]
    inputs: list[ir.Value | None] = [nodes[-1].outputs[0]]
    attributes: dict[str, ir.Attr] = {"axis": ir.AttrInt64("axis", -1)}
    if opset(model) < FIRST_OPSET_WITH_INPUT:
        attributes["split"] = ir.AttrInt64s("split", sizes)
    else:
        inputs.append(_constant(graph, np.array(sizes, np.int64), "sizes", names))
    split = _node("Split", inputs, attributes, len(products), names)
    nodes.append(split)
    origin = ", ".join(node.name or "" for product in products for node in product.nodes)
    graph.insert_before(first, nodes)
    for node in nodes:
        node.metadata_props[PROVENANCE_KEY] = origin
        infer_node(model, node)
    for product, output in zip(products, split.outputs, strict=True):
        replace_value(product.output, output, is_new=True)
        for node in reversed(product.nodes):
            remove_node(node)


def _node(
    op_type: str, inputs: list[ir.Value | None], attributes: dict[str, ir.Attr], outputs: int, names: Names
) -> ir.Node:
    made = [ir.Value(name=names.fresh(f"merged/{op_type}")) for _ in range(outputs)]
    return ir.Node("", op_type, inputs, attributes.values(), outputs=made, name=made[0].name)


def _constant(
    graph: ir.Graph, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], hint: str, names: Names
) -> ir.Value:
    value = constant_value(names.fresh(hint), array)
    graph.initializers.add(value)
    return value
