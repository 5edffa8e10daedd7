"""What `--opset` asks for: a version to start at, or one that is raised where a fusion needs it, or neither.

Up goes our own converter, in place; down goes ONNX's. What comes out is checked like everything else.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.execute import runs_node
from graphopt.io import to_proto
from graphopt.ir import infer_shapes
from graphopt.ir import opset as current_opset
from graphopt.ir.opsets import NEWEST_OPSET, OLDEST_OPSET, OpsetError, raise_opset
from graphopt.passes.cleanup.inline import Inline
from graphopt.passes.cleanup.raise_opset import RaiseOpset
from graphopt.pipeline import Record

AUTO = "auto"
KEEP = "keep"

INLINE_BYTES = 1024
"""Smaller constants are shown to ONNX's converter: it may need their values (axes, shapes)."""


def convert_opset(model: ir.Model, wanted: int | str, notes: list[str]) -> ir.Model:
    """The model at the opset to start with, or the model itself.

    Args:
        model: Not changed.
        wanted: "auto" or "keep", which start with the model's own, or a version.
        notes: Gets a line when the model was converted.

    Raises:
        UsageError: The version is no number, or cannot be reached.
    """
    if wanted in (AUTO, KEEP):
        return model
    if not str(wanted).isdigit():
        raise UsageError(f"--opset is {wanted!r}, expected a number, 'auto' or 'keep'")
    version = int(wanted)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise UsageError(f"--opset is {version}, expected {OLDEST_OPSET} to {NEWEST_OPSET}")
    found = current_opset(model)
    if version == found:
        return model
    converted = _raised(model, version) if version > found else _lowered(model, found, version)
    notes.append(f"converted from opset {found} to {version}")
    return converted


def passes_against(wanted: int | str) -> tuple[str, ...]:
    """Names of the passes that would not let the opset be as wanted."""
    return () if wanted == AUTO else (RaiseOpset.name,)


def notes_of_raising(records: Iterable[Record]) -> list[str]:
    """That and why the opset was raised, from the records of passes."""
    return [kind for record in records if record.name == RaiseOpset.name for kind in record.hits]


def _raised(model: ir.Model, version: int) -> ir.Model:
    """A clone raised to a newer version; its functions are inlined, since each has an opset of its own."""
    raised = model.clone()
    Inline()(raised)
    infer_shapes(raised)
    try:
        raise_opset(raised, version, runs_node)
    except OpsetError as error:
        raise UsageError(error.message, hint="--opset keep leaves it as it is") from error
    return raised


def _lowered(model: ir.Model, found: int, version: int) -> ir.Model:
    """What ONNX's converter makes of a model at an older version."""
    try:
        return _convert(model, version)
    except Exception as error:  # the converter raises bare RuntimeErrors and worse
        raise UsageError(
            f"the model cannot be converted from opset {found} to {version}: "
            f"{str(error).rpartition('failed: ')[2]}",
            hint="--opset keep leaves it as it is",
        ) from error


def _convert(model: ir.Model, version: int) -> ir.Model:
    """Run ONNX's converter on a model whose large weights stand as inputs meanwhile, to copy none."""
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
