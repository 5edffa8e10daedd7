"""Which nodes of a quantized model compute on quantized values, and which of them hang together.

Only structure is looked at: what a runtime makes of it is told by `graphopt.quant.predict`.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphopt.ir import constant_tensor
from graphopt.quant.pairs import is_dq, is_q
from graphopt.quant.predict import HEAVY


def quantized_nodes(model: ir.Model) -> list[ir.Node]:
    """Nodes of the main graph that read a quantized activation, in order."""
    return [
        node
        for node in model.graph
        if not is_q(node) and not is_dq(node) and any(map(_is_quantized, node.inputs))
    ]


def heavy_nodes(model: ir.Model) -> list[ir.Node]:
    """Those of them that do most of the work."""
    return [node for node in quantized_nodes(model) if node.op_type in HEAVY]


def light_kinds(model: ir.Model) -> dict[str, list[str]]:
    """Names of the others by operator."""
    names: dict[str, list[str]] = {}
    for node in quantized_nodes(model):
        if node.op_type not in HEAVY:
            names.setdefault(node.op_type, []).append(node.name or "")
    return names


def regions(model: ir.Model) -> list[list[str]]:
    """Names of the quantized nodes that hand each other quantized values, region by region, in order.

    Within a region nothing is converted; each way in and out of one costs a conversion.
    """
    found = {id(node): node for node in quantized_nodes(model)}
    root = {key: key for key in found}

    def find(key: int) -> int:
        while root[key] != key:
            key = root[key]
        return key

    for node in found.values():
        for reader in _readers(node):
            if id(reader) in found:
                root[find(id(reader))] = find(id(node))
    gathered: dict[int, list[str]] = {}
    for key, node in found.items():
        gathered.setdefault(find(key), []).append(node.name or "")
    return list(gathered.values())


def _readers(node: ir.Node) -> Iterator[ir.Node]:
    """Nodes that read an output of this one through QuantizeLinear and DequantizeLinear."""
    for output in node.outputs:
        for quantize in output.consumers():
            if is_q(quantize):
                for dequantize in quantize.outputs[0].consumers():
                    yield from (dequantize.outputs[0].consumers() if is_dq(dequantize) else ())


def _is_quantized(value: ir.Value | None) -> bool:
    maker = None if value is None else value.producer()
    if maker is None or not is_dq(maker):
        return False
    return constant_tensor(maker.inputs[0]) is None
