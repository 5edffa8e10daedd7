"""Mutations of versions: the standard operator set raised or lowered, by us or by ONNX's converter."""

from __future__ import annotations

import onnx.version_converter
import onnx_ir as ir

from graphopt.ir import constant_tensor
from graphopt.ir.opsets import NEWEST_OPSET, OLDEST_OPSET, OpsetError, oldest_ir_version, raise_opset
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.mutation.subject import Subject, mutation

LARGEST_BYTES = 16 << 20
"""Of constants of models that go through ONNX's converter, which copies them."""


@mutation()
def change_opset(subject: Subject, choices: Choices) -> str:
    """Take the model to another opset in which it means the same."""
    model = subject.model
    old = model.opset_imports.get("", 0)
    if not old:
        raise Unfit("no standard operators")
    if choices.chance(0.5) and old < NEWEST_OPSET:
        version = choices.integer(old + 1, NEWEST_OPSET)
        try:
            raise_opset(model, version)
        except OpsetError as error:
            raise Unfit(error.message) from error
        return f"raised to opset {version}"
    version = choices.integer(OLDEST_OPSET, NEWEST_OPSET)
    if version == old or model.functions:
        raise Unfit("nothing to convert, or functions in the way")
    subject.model = _converted(model, version)
    return f"converted to opset {version}"


@mutation(weight=3)
def declare_opset(subject: Subject, choices: Choices) -> str:
    """Declare another opset, which may mean something else."""
    model = subject.model
    version = choices.integer(OLDEST_OPSET, NEWEST_OPSET)
    model.opset_imports[""] = version
    for function in model.functions.values():
        function.opset_imports[""] = version
    model.ir_version = max(model.ir_version, oldest_ir_version(version))
    return f"declared opset {version}"


def _converted(model: ir.Model, version: int) -> ir.Model:
    tensors = [constant_tensor(value) for value in model.graph.initializers.values()]
    if sum(0 if tensor is None else tensor.nbytes for tensor in tensors) > LARGEST_BYTES:
        raise Unfit("too large to convert")
    try:
        proto = onnx.version_converter.convert_version(ir.to_proto(model), version)
    except Exception as error:  # the converter raises what it likes
        raise Unfit(f"cannot be converted: {error}") from error
    converted = ir.from_proto(proto)
    converted.ir_version = max(model.ir_version, oldest_ir_version(version))
    return converted
