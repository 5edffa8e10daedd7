"""Make a node of any operator from its schema alone: operands of types that it takes, attributes it knows.

Operators with side conditions on their operands have recipes; what fits by chance is found here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir

from graphopt.ir.ops import CONTROL_FLOW, has_schema, op_facts
from graphopt.testing.generate import arrays
from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit

_FORMAL = onnx.defs.OpSchema.FormalParameterOption
_ATTRIBUTE = onnx.defs.OpSchema.AttrType

UNSAFE = frozenset({"MaxRoiPool"})
"""onnxruntime ends the process where their operands do not fit; they need recipes."""

INTS = (0, 1, -1, 2, 3)
FLOATS = (0.0, 1.0, 0.5, -1.0, 2.0)
_ELEMENTS = {
    "float": "FLOAT", "double": "DOUBLE", "bool": "BOOL", "string": "STRING", "float16": "FLOAT16",
    "bfloat16": "BFLOAT16", "int4": "INT4", "uint4": "UINT4",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip


@functools.cache
def standard_operators(opset: int) -> tuple[str, ...]:
    """Operators of the standard domain at an opset that hold no graphs, sorted."""
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    found = []
    for name in sorted(names - CONTROL_FLOW - UNSAFE):
        if has_schema("", name, opset) and not onnx.defs.get_schema(name, opset, "").deprecated:
            found.append(name)
    return tuple(found)


def by_schema(b: Builder, op_type: str) -> Known:
    """Add a node of the operator.

    Raises:
        Unfit: The operator takes types that no value here has.
        ExecutionError: The operands do not fit each other.
    """
    schema = b.schema(op_type)
    types: dict[str, str] = {}
    inputs: list[Known | None] = []
    shape_inputs = op_facts("", op_type).shape_inputs
    for place, formal in enumerate(schema.inputs):
        if formal.option == _FORMAL.Optional and b.choices.chance(0.5):
            inputs.append(None)
            continue
        count = b.choices.integer(max(formal.min_arity, 1), 3) if formal.option == _FORMAL.Variadic else 1
        for _ in range(count):
            like = next((each for each in inputs if each is not None), None)
            inputs.append(_operand(b, schema, formal.type_str, types, like, small=place in shape_inputs))
            if formal.option == _FORMAL.Variadic and not formal.is_homogeneous:
                types.pop(formal.type_str, None)
    while inputs and inputs[-1] is None:
        inputs.pop()
    attributes = _attributes(b, schema)
    required = [each for each in schema.outputs if each.option == _FORMAL.Single]
    outputs = len(schema.outputs) if b.choices.chance(0.5) else max(len(required), 1)
    return b.node(op_type, inputs, attributes, outputs=outputs)[0]


def _operand(
    b: Builder,
    schema: onnx.defs.OpSchema,
    parameter: str,
    types: dict[str, str],
    like: Known | None,
    *,
    small: bool,
) -> Known:
    allowed = [types[parameter]] if parameter in types else _allowed(schema, parameter)
    if small and "tensor(int64)" in allowed:
        types[parameter] = "tensor(int64)"
        rank = like.rank if like is not None and like.is_tensor else 2
        length = b.choices.choose((1, rank))
        return b.ints([b.choices.choose((1, 0, 2, -1, 3)) for _ in range(length)])
    fit = [value for value in b.visible() if value.type_name in allowed]
    if fit and not b.choices.chance(0.25):
        known = fit[b.choices.integer(0, len(fit) - 1)]
    else:
        elements = [each[7:-1] for each in allowed if each.startswith("tensor(")]
        possible = {dtype.name: dtype for dtype in b.spec.data_types()}
        found = [possible[_ELEMENTS[each]] for each in elements if _ELEMENTS.get(each) in possible]
        if not found:
            raise Unfit(f"{schema.name} takes none of the element types")
        dtype = ir.DataType.FLOAT if ir.DataType.FLOAT in found else b.choices.choose(found)
        if like is not None and like.is_tensor and b.choices.chance(0.7):
            shape: Sequence[int] = b.broadcastable(like.shape) if b.choices.chance(0.3) else like.shape
        else:
            shape = b.shape()
        known = b.constant(arrays.array(b.choices, dtype, shape, specials=b.specials))
    types[parameter] = known.type_name
    return known


def _allowed(schema: onnx.defs.OpSchema, parameter: str) -> list[str]:
    for constraint in schema.type_constraints:
        if constraint.type_param_str == parameter:
            return list(constraint.allowed_type_strs)
    return [parameter]


def _attributes(b: Builder, schema: onnx.defs.OpSchema) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, attribute in sorted(schema.attributes.items()):
        if not attribute.required and not b.choices.chance(0.4):
            continue
        if attribute.type == _ATTRIBUTE.INT:
            made[name] = _integer(b, name)
        elif attribute.type == _ATTRIBUTE.FLOAT:
            made[name] = b.choices.choose(FLOATS)
        elif attribute.type == _ATTRIBUTE.INTS:
            made[name] = [b.choices.choose(INTS) for _ in range(b.choices.integer(1, 3))]
        elif attribute.type == _ATTRIBUTE.FLOATS:
            made[name] = [b.choices.choose(FLOATS) for _ in range(b.choices.integer(1, 3))]
        elif attribute.type == _ATTRIBUTE.TENSOR:
            made[name] = ir.to_proto(ir.tensor(np.array([b.choices.choose(FLOATS)], np.float32)))
        elif attribute.required:
            raise Unfit(f"{schema.name} needs its attribute {name}")
    return made


def _integer(b: Builder, name: str) -> int:
    if name in ("to", "dtype", "output_dtype"):
        return int(b.dtype("fiub"))
    return b.choices.choose((0, 1)) if b.choices.chance(0.5) else b.choices.choose(INTS)
