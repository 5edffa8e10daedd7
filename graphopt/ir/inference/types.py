"""Types that follow from an operator's schema alone, where no rule says more."""

from __future__ import annotations

import functools

import onnx_ir as ir

from graphopt.ir.ops import has_schema


def infer_types(node: ir.Node, version: int) -> None:
    """Give outputs without a type that of an input that the schema says is the same.

    Args:
        node: Of the standard domain, or it is left alone.
        version: Its opset.
    """
    if node.domain:
        return
    like = _same_types(node.op_type, version)
    for output, sources in zip(node.outputs, like, strict=False):
        if output.type is not None:
            continue
        given = (node.inputs[index] for index in sources if index < len(node.inputs))
        known = next((value.type for value in given if value is not None and value.type is not None), None)
        if isinstance(known, ir.TensorType):
            output.type = ir.TensorType(known.dtype)


@functools.cache
def _same_types(op_type: str, version: int) -> tuple[tuple[int, ...], ...]:
    """For each output the inputs of the same type parameter."""
    import onnx.defs

    if not has_schema("", op_type, version):
        return ()
    schema = onnx.defs.get_schema(op_type, version)
    parameters = {constraint.type_param_str for constraint in schema.type_constraints}
    return tuple(
        tuple(index for index, each in enumerate(schema.inputs) if each.type_str == formal.type_str)
        if formal.type_str in parameters and formal.is_homogeneous
        else ()
        for formal in schema.outputs
    )
