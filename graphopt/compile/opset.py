"""Convert a model to another version of the standard operator set before it is optimized."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import opset as current_opset


def convert_opset(model: ir.Model, wanted: int | str, notes: list[str]) -> ir.Model:
    """The model at another opset, or the model itself.

    Uses ONNX's own version converter, with the weights left out so that they are not copied.

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
    found = current_opset(model)
    if version == found:
        return model
    import onnx.version_converter

    try:
        light = model.clone()
        tensors = {name: value.const_value for name, value in light.graph.initializers.items()}
        proto = ir.to_proto(light)
        converted = ir.from_proto(onnx.version_converter.convert_version(proto, version))
    except Exception as error:  # the converter raises bare RuntimeErrors and worse
        raise UsageError(
            f"the model cannot be converted from opset {found} to {version}: {error}",
            hint="--opset keep leaves it as it is",
        ) from error
    for name, value in converted.graph.initializers.items():
        if name in tensors:
            value.const_value = tensors[name]
    notes.append(f"converted from opset {found} to {version}")
    return converted
