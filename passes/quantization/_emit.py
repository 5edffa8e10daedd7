"""Write QuantizeLinear and DequantizeLinear around the nodes that run on codes.

A value gets one of each behind its maker, which all its readers on codes share. What to quantize, and with
which numbers, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    PROVENANCE_KEY,
    Names,
    constant,
    constant_tensor,
    constant_value,
    rank,
    remove_node,
    static_shape,
)
from graphopt.passes.quantization._decode import drop
from graphopt.passes.quantization._forms import Form
from graphopt.passes.quantization._rounded import noted_for
from graphopt.passes.quantization._units import Unit
from graphopt.quant import Affine, Scheme, affine_for, affine_for_range, bias_affine

FLOAT = ir.DataType.FLOAT


def emit(model: ir.Model, units: Sequence[Unit], affines: Mapping[ir.Value, Affine], weights: Scheme) -> None:
    """Quantize the main graph of a model.

    Args:
        model: Changed in place.
        units: What runs on codes.
        affines: What the codes of each value stand for.
        weights: Scheme of weights.
    """
    _Emitter(model, units, affines, weights).run()


class _Emitter:
    def __init__(
        self, model: ir.Model, units: Sequence[Unit], affines: Mapping[ir.Value, Affine], weights: Scheme
    ) -> None:
        self._model = model
        self._graph = model.graph
        self._units = units
        self._affines = affines
        self._weights = weights
        self._names = Names(model)
        self._constants: dict[tuple[str, bytes, tuple[int, ...]], ir.Value] = {}
        self._written = {value: unit for unit in units for value in unit.writes}
        self._reading: dict[ir.Value, set[ir.Node]] = {}
        for unit in units:
            for value in unit.reads:
                self._reading.setdefault(value, set()).add(unit.node)

    def run(self) -> None:
        """Weights and biases first: they ask for the values that activations are read from."""
        read = self._constants_read()
        for unit in self._units:
            self._quantize_weights(unit)
        dequantized = {value: self._quantize(value, affine) for value, affine in self._affines.items()}
        for unit in self._units:
            _leave_out_defaults(unit)
            if unit.form is not None:
                self._spell(unit.node, unit.form, dequantized)
            elif unit.tail is not None and unit.writes[0] in self._affines and self._writes_codes(unit):
                self._drop_tail(unit.tail, unit.node.outputs[0])
            elif not unit.must_write_codes:
                _part_from_sum(unit.node.outputs[0])
        for value in read:
            if not value.uses() and not value.is_graph_output():
                drop(value)

    def _constants_read(self) -> list[ir.Value]:
        """Constants that nodes read which are to run on codes, or that clamp as codes do."""
        changed = (node for unit in self._units for node in (unit.node, unit.tail) if node is not None)
        given = (value for node in changed for value in node.inputs)
        return [
            value
            for value in dict.fromkeys(given)
            if value is not None and constant_tensor(value) is not None
        ]

    def _writes_codes(self, unit: Unit) -> bool:
        """Whether nobody reads floats of what a unit writes."""
        if unit.must_write_codes:
            return True
        (value,) = unit.writes
        readers = self._reading.get(value, set())
        return not value.is_graph_output() and all(
            use.node in readers or use.node.op_type == "QuantizeLinear" for use in value.uses()
        )

    def _quantize(self, value: ir.Value, affine: Affine) -> ir.Value:
        """Put a Q and a DQ behind a value; returns what the DQ makes."""
        scale, zero = self._numbers(value.name or "", affine)
        array = constant(value)
        if array is not None:
            codes = self._constant(f"{value.name}/codes", affine.quantize(array))
            made = self._node(
                "DequantizeLinear", [codes, scale, zero], value, before=self._first_reader(value)
            )
            self._redirect(value, made.outputs[0], self._reading[value])
            return made.outputs[0]
        maker = value.producer()
        unit = self._written.get(value)
        written = affine
        if unit is not None and unit.form is not None and not unit.form.times_input:
            written = _written_by(unit.form, affine)
        numbers = (scale, zero) if written is affine else self._numbers(f"{value.name}/sum", written)
        quantize = self._node("QuantizeLinear", [value, *numbers], value, after=maker)
        made = self._node("DequantizeLinear", [quantize.outputs[0], scale, zero], value, after=quantize)
        if unit is not None and unit.must_write_codes:
            readers = {use.node for use in value.uses()} - {quantize}
            if value.is_graph_output():
                self._take_over_output(value, made.outputs[0])
        else:
            readers = self._reading.get(value, set())
        self._redirect(value, made.outputs[0], readers)
        return made.outputs[0]

    def _redirect(self, value: ir.Value, new: ir.Value, readers: set[ir.Node]) -> None:
        """Let readers read `new`; those on codes only where they read activations."""
        for use in tuple(value.uses()):
            if use.node in readers:
                use.node.replace_input_with(use.idx, new)

    def _take_over_output(self, value: ir.Value, new: ir.Value) -> None:
        name = value.name
        value.name = self._names.fresh(f"{name}/float")
        for index, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[index] = new
        new.name = name

    def _quantize_weights(self, unit: Unit) -> None:
        weight, rule = unit.weight, unit.rule
        if weight is None or rule is None or rule.weight is None:
            return
        array = constant(weight)
        assert array is not None
        axis = unit.channel_axis()
        scheme = replace(self._weights, axis=axis)
        affine = noted_for(weight, scheme) or affine_for(array, scheme)
        bias = constant(unit.bias)
        if unit.bias is not None and bias is not None and rule.bias is not None:
            assert axis is not None
            channels = array.shape[axis]
            terms = array.size // channels
            spread = np.broadcast_to(bias.reshape(-1), (channels,))
            made = bias_affine(self._affines[unit.reads[0]], affine, spread, terms)
            affine = made.weight
            codes = self._constant(f"{unit.bias.name}/codes", made.codes)
            scale = self._constant(f"{unit.bias.name}/scale", made.scale)
            self._read_constant(unit.node, rule.bias, codes, [scale], 0)
        codes = self._constant(f"{weight.name}/codes", affine.quantize(array))
        self._read_constant(
            unit.node, rule.weight, codes, list(self._numbers(weight.name or "", affine)), axis
        )

    def _read_constant(
        self, node: ir.Node, place: int, codes: ir.Value, numbers: list[ir.Value], axis: int | None
    ) -> None:
        """Let a node read a constant from codes."""
        old = node.inputs[place]
        assert old is not None
        attributes = [] if axis is None else [ir.AttrInt64("axis", axis)]
        like = ir.Value(name=old.name, shape=codes.shape)
        made = self._node("DequantizeLinear", [codes, *numbers], like, before=node, attributes=attributes)
        node.replace_input_with(place, made.outputs[0])

    def _spell(self, node: ir.Node, form: Form, dequantized: Mapping[ir.Value, ir.Value]) -> None:
        """Write an activation with operators that run on codes; see `_forms`."""
        (output,) = node.outputs
        (source,) = node.inputs[:1]
        assert source is not None and form is not None
        shift = self._constant_of(f"{output.name}/shift", form.shift, source)
        origin = node.metadata_props.get(PROVENANCE_KEY) or node.name or ""
        total = ir.Value(
            name=self._names.fresh(f"{output.name}/sum"), type=output.type, shape=_copied(output.shape)
        )
        add = ir.Node("", "Add", [source, shift], outputs=[total], name=total.name)
        add.metadata_props[PROVENANCE_KEY] = origin
        self._graph.insert_before(node, add)
        last = add
        if form.times_input:
            share = affine_for_range(0.0, 1.0, next(iter(self._affines.values())).scheme)
            numbers = self._numbers(f"{output.name}/share", share)
            written = self._numbers(f"{output.name}/sum", _written_by(form, share))
            quantize = self._node("QuantizeLinear", [total, *written], total, after=add)
            read = self._node("DequantizeLinear", [quantize.outputs[0], *numbers], total, after=quantize)
            product = ir.Value(
                name=self._names.fresh(f"{output.name}/product"), type=output.type, shape=output.shape
            )
            last = ir.Node("", "Mul", [source, read.outputs[0]], outputs=[product], name=node.name)
            last.metadata_props[PROVENANCE_KEY] = origin
            self._graph.insert_after(read, last)
        else:
            last.name = node.name
        name = output.name
        output.replace_all_uses_with(last.outputs[0])
        remove_node(node)
        last.outputs[0].name = name

    def _drop_tail(self, tail: ir.Node, source: ir.Value) -> None:
        """Leave out a Relu or Clip: the codes behind it clamp alike."""
        (output,) = tail.outputs
        name = output.name
        output.replace_all_uses_with(source)
        remove_node(tail)
        source.name = name

    def _constant_of(self, name: str, element: float, source: ir.Value) -> ir.Value:
        """A scalar of codes, with a scale that represents it exactly; a zero with that of its neighbour."""
        scheme = next(iter(self._affines.values())).scheme
        affine = affine_for_range(min(element, 0.0), max(element, 0.0, float(element == 0.0)), scheme)
        codes = self._constant(f"{name}/codes", affine.quantize(np.asarray(element, np.float32)))
        like = ir.Value(name=name, shape=ir.Shape(()))
        numbers = self._numbers(name, affine)
        first = source.producer()
        assert first is not None
        made = self._node("DequantizeLinear", [codes, *numbers], like, after=first)
        return made.outputs[0]

    def _numbers(self, name: str, affine: Affine) -> tuple[ir.Value, ir.Value]:
        """Scale and zero point as constants."""
        return (
            self._constant(f"{name}/scale", affine.scale),
            self._constant(f"{name}/zero_point", affine.zero_point),
        )

    def _constant(self, name: str, array: np.ndarray[Any, Any]) -> ir.Value:
        """An initializer; small ones of the same bits are one."""
        key = (str(array.dtype), array.tobytes(), array.shape)
        if array.size == 1 and key in self._constants:
            return self._constants[key]
        value = constant_value(self._names.fresh(name), array)
        self._graph.initializers.add(value)
        self._constants[key] = value
        return value

    def _first_reader(self, value: ir.Value) -> ir.Node:
        readers = self._reading[value]
        return next(unit.node for unit in self._units if unit.node in readers)

    def _node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        like: ir.Value,
        *,
        before: ir.Node | None = None,
        after: ir.Node | None = None,
        attributes: Sequence[ir.Attr] = (),
    ) -> ir.Node:
        """A QuantizeLinear or DequantizeLinear; at the beginning of the graph if neither place is given."""
        is_quantize = op_type == "QuantizeLinear"
        dtype = inputs[2].dtype if is_quantize else FLOAT
        assert dtype is not None
        name = self._names.fresh(f"{like.name}/{'quantized' if is_quantize else 'dequantized'}")
        output = ir.Value(name=name, type=ir.TensorType(dtype), shape=_copied(like.shape))
        node = ir.Node("", op_type, inputs, attributes, outputs=[output], name=name)
        if after is not None:
            self._graph.insert_after(after, node)
        elif before is not None or len(self._graph):
            self._graph.insert_before(before or self._graph[0], node)
        return node


def _copied(shape: ir.Shape | None) -> ir.Shape | None:
    """A shape of its own for another value."""
    return None if shape is None else shape.copy()


def _leave_out_defaults(unit: Unit) -> None:
    """Drop lists that say what goes without saying.

    onnxruntime 1.31 hands the dilations of an AveragePool on to its operator on codes, which knows none.
    """
    conditions = {} if unit.rule is None else unit.rule.attributes
    for name, wanted in conditions.items():
        if isinstance(wanted, list):
            unit.node.attributes.pop(name, None)


def _part_from_sum(value: ir.Value) -> None:
    """Write the sum of a product in floats and a bias as a Sum.

    onnxruntime makes a Gemm of floats of a MatMul and an Add, and then runs neither on codes.
    """
    readers = [use.node for use in value.uses()]
    if len(readers) != 1 or readers[0].op_type != "Add" or value.is_graph_output():
        return
    (add,) = readers
    data = value.producer().inputs[0]  # type: ignore[union-attr]
    if rank(data) != 2 and static_shape(data) is None:
        return
    if any(constant(term) is not None for term in add.inputs):
        add.op_type = "Sum"


def _written_by(form: Form, read: Affine) -> Affine:
    """The numbers that a sum is quantized with so that its codes read as shares of the form's top."""
    if form.top is None:
        return read
    return replace(read, scale=np.asarray(read.scale * np.float32(form.top), np.float32))
