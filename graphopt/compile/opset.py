"""Convert a model to another version of the standard operator set before it is optimized."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.io import to_proto
from graphopt.ir import opset as current_opset
from graphopt.ir.opsets import NEWEST_OPSET, OLDEST_OPSET

INLINE_BYTES = 1024
"""Smaller constants are shown to the converter: it may need their values (axes, shapes)."""


def convert_opset(model: ir.Model, wanted: int | str, notes: list[str]) -> ir.Model:
    """The model at another opset, or the model itself.

    Uses ONNX's own version converter, with the weights left out so that they are not copied. What comes out
    is checked like everything else.

    Args:
        model: Not changed.
        wanted: "keep" or a version.
        notes: Gets a line when the model was converted.

    Raises:
        UsageError: The version is no number, or the converter cannot reach it.
    """
    if wanted == "keep":
        return model
    if not str(wanted).isdigit():
        raise UsageError(f"--opset is {wanted!r}, expected a number or 'keep'")
    version = int(wanted)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise UsageError(f"--opset is {version}, expected {OLDEST_OPSET} to {NEWEST_OPSET}")
    found = current_opset(model)
    if version == found:
        return model
    try:
        converted = _convert(model, version)
    except Exception as error:  # the converter raises bare RuntimeErrors and worse
        raise UsageError(
            f"the model cannot be converted from opset {found} to {version}: "
            f"{str(error).rpartition('failed: ')[2]}",
            hint="--opset keep leaves it as it is",
        ) from error
    notes.append(f"converted from opset {found} to {version}")
    return converted


def _convert(model: ir.Model, version: int) -> ir.Model:
    """Run ONNX's converter on a model whose large weights stand as inputs meanwhile."""
    import onnx.version_converter

    light = model.clone()
    graph = light.graph
    weights = {}
    for name, value in list(graph.initializers.items()):
        if (
            value.const_value is not None
            and value.const_value.nbytes > INLINE_BYTES
            and not value.is_graph_input()
        ):
            weights[name] = value.const_value
            del graph.initializers[name]
            value.const_value = None
            graph.inputs.append(value)
    converted = ir.from_proto(onnx.version_converter.convert_version(to_proto(light), version))
    for value in [value for value in converted.graph.inputs if value.name in weights]:
        converted.graph.inputs.remove(value)
        value.const_value = weights[value.name or ""]
        converted.graph.initializers.add(value)
    return converted
