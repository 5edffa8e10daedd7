"""What a node takes on integer codes and in float: a few measured rates, the `[codes]` table of a target.

Coarse on purpose: it tells where codes pay for their conversions, not how long a model takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import onnx_ir as ir

from graphopt.ir import attribute_int, constant_tensor, static_shape

Sizes = Callable[[ir.Value], float]
"""How many elements a value has."""


USUAL_PRODUCTS = 64


@dataclass(frozen=True)
class Terms:
    """Nanoseconds by what they are for.

    Attributes:
        node: Once.
        output: For each output element.
        input: For each element of the first input.
        mac: For each multiplication.
        tap: For each place of the output and each element of the window there.
        row: For each place of the output and each row of the window there.
        weight: For each element of the weights, or of a constant first input.
        unfused: For each output element where the node before runs on codes; in float both are one.
    """

    node: float = 0.0
    output: float = 0.0
    input: float = 0.0
    mac: float = 0.0
    tap: float = 0.0
    row: float = 0.0
    weight: float = 0.0
    unfused: float = 0.0

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], where: str) -> Terms:
        """The terms of a table.

        Raises:
            ValueError: A key is not a term, or its value not a number.
        """
        for name, value in plain.items():
            if name not in {each.name for each in fields(cls)}:
                raise ValueError(f"{where}: unknown key {name!r}")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{where}.{name}: expected a number, found {value!r}")
        return cls(**plain)


@dataclass(frozen=True)
class CodeRates:
    """Rates of a runtime on one thread.

    Attributes:
        quantize: Of a QuantizeLinear.
        dequantize: Of a DequantizeLinear.
        in_float: Of nodes in float, by kind: an operator, or `Conv.pointwise` and the like (see `kind_of`).
        on_codes: Of nodes on codes.
    """

    quantize: Terms
    dequantize: Terms
    in_float: Mapping[str, Terms]
    on_codes: Mapping[str, Terms]

    def knows(self, node: ir.Node) -> bool:
        """Whether both times of a node are known."""
        return kind_of(node) in self.in_float and kind_of(node) in self.on_codes

    def float_time(self, node: ir.Node, sizes: Sizes) -> float:
        """Nanoseconds of a node in float."""
        return _time(self.in_float[kind_of(node)], node, sizes)

    def code_time(self, node: ir.Node, sizes: Sizes) -> float:
        """Nanoseconds of a node on codes."""
        return _time(self.on_codes[kind_of(node)], node, sizes)

    def unfused_time(self, node: ir.Node, sizes: Sizes) -> float:
        """Nanoseconds that a node in float takes more behind one on codes."""
        terms = self.in_float.get(kind_of(node))
        return 0.0 if terms is None else terms.unfused * _outputs(node, sizes)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], base: CodeRates | None = None) -> CodeRates:
        """The rates of a table: `quantize`, `dequantize`, and for each kind `float` and `codes`.

        Args:
            plain: The table.
            base: Rates of what it does not name.

        Raises:
            KeyError, ValueError: It is not such a table.
        """
        if base is not None:
            plain = {"quantize": asdict(base.quantize), "dequantize": asdict(base.dequantize), **plain}
        kinds = {name: table for name, table in plain.items() if name not in ("quantize", "dequantize")}
        for name, table in kinds.items():
            if table.keys() != {"float", "codes"}:
                raise ValueError(f"codes.{name}: expected float and codes, found {', '.join(table)}")
        in_float = {name: Terms.from_dict(table["float"], f"codes.{name}") for name, table in kinds.items()}
        on_codes = {name: Terms.from_dict(table["codes"], f"codes.{name}") for name, table in kinds.items()}
        return cls(
            quantize=Terms.from_dict(plain["quantize"], "codes.quantize"),
            dequantize=Terms.from_dict(plain["dequantize"], "codes.dequantize"),
            in_float=in_float if base is None else {**base.in_float, **in_float},
            on_codes=on_codes if base is None else {**base.on_codes, **on_codes},
        )


def kind_of(node: ir.Node) -> str:
    """What the rates of a node are filed under: its operator, and for products what their speed depends on.

    `Conv.pointwise` has windows of one element, `Conv.grouped` takes its channels in groups (`.uneven`: they
    are no multiple of 16), `Conv.narrow` reads a number of channels that is no multiple of 4;
    `MatMul.computed` multiplies two activations.
    """
    name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    weight = static_shape(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op_type == "MatMul" and constant_tensor(node.inputs[1]) is None:
        return "MatMul.computed"
    if node.op_type != "Conv" or weight is None:
        return name
    if attribute_int(node, "group", 1) > 1:
        return "Conv.grouped" if weight[0] % 16 == 0 else "Conv.grouped.uneven"
    if math.prod(weight[2:]) == 1:
        return "Conv.pointwise"
    return "Conv" if weight[1] % 4 == 0 else "Conv.narrow"


def _time(terms: Terms, node: ir.Node, sizes: Sizes) -> float:
    outputs = _outputs(node, sizes)
    time = terms.node + terms.output * outputs
    if terms.input and node.inputs and node.inputs[0] is not None:
        time += terms.input * sizes(node.inputs[0])
    if terms.mac:
        time += terms.mac * outputs * _products(node)
    if terms.tap or terms.row:
        shape = static_shape(node.inputs[1]) or (1,)
        places = outputs / max(shape[0], 1)
        time += places * (terms.tap * math.prod(shape[2:]) + terms.row * math.prod(shape[2:-1]))
    if terms.weight:
        time += terms.weight * sum(
            tensor.size for value in node.inputs[:2] if (tensor := constant_tensor(value)) is not None
        )
    return time


def _outputs(node: ir.Node, sizes: Sizes) -> float:
    return sum(sizes(output) for output in node.outputs)


def _products(node: ir.Node) -> int:
    """Multiplications for an element of the output; a usual number where a size is not known."""
    weight = static_shape(node.inputs[1])
    if node.op_type == "Conv" and weight is not None:
        return math.prod(weight[1:])
    if node.op_type == "ConvTranspose" and weight is not None:
        strides = node.attributes.get("strides")
        parts = math.prod(strides.as_ints()) if strides is not None else 1
        return max(weight[0] * math.prod(weight[2:]) // (parts * attribute_int(node, "group", 1)), 1)
    if weight is not None and len(weight) > 1:
        return weight[-1] if attribute_int(node, "transB", 0) else weight[-2]
    shape = None if node.inputs[0] is None else node.inputs[0].shape
    last = shape.dims[-1] if shape else None
    return last if isinstance(last, int) else USUAL_PRODUCTS
