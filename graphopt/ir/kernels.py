"""Which kernels the installed onnxruntime has, asked of itself. Without onnxruntime nothing is known.

Loads onnxruntime when first asked.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

_OPEN_END = (1 << 31) - 1
"""What onnxruntime calls the end of a range of versions that has none."""

_NAMES = {ir.DataType.FLOAT: "float", ir.DataType.DOUBLE: "double"}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel of the standard domain for the processor.

    Attributes:
        first: Opset of the definition that it was written for.
        last: Last opset that it serves; None for one without an end, which is for its first definition alone,
            as the next one may mean anything.
        types: Type parameter of the operator's schema -> names of types; not all parameters are named.
    """

    first: int
    last: int | None
    types: Mapping[str, Sequence[str]]

    def serves(self, since: int) -> bool:
        """Whether it is for the definition of that opset."""
        return self.first == since or (self.last is not None and self.first <= since <= self.last)


def takes_type(op_type: str, version: int, dtype: ir.DataType) -> bool:
    """Whether a standard operator's first input may be of a type, as an opset defines the operator.

    True as well where nothing is known, and of operators that are functions of others.
    """
    import onnx.defs

    serving = kernels().get(op_type)
    if not serving or not onnx.defs.has(op_type, max_inclusive_version=version):
        return True
    schema: Any = onnx.defs.get_schema(op_type, version)
    if schema.has_function or schema.has_context_dependent_function:
        return True
    fit = [each for each in serving if each.serves(schema.since_version)]
    if not fit or not schema.inputs:
        return True
    name = f"tensor({_NAMES.get(dtype, dtype.name.lower())})"
    parameter = schema.inputs[0].type_str
    return any(parameter not in each.types or name in each.types[parameter] for each in fit)


@functools.cache
def kernels() -> Mapping[str, Sequence[Kernel]]:
    """The kernels by operator; empty where this onnxruntime does not tell."""
    try:
        from onnxruntime.capi.onnxruntime_pybind11_state import get_all_opkernel_def
    except ImportError:
        return {}
    found: defaultdict[str, list[Kernel]] = defaultdict(list)
    for each in get_all_opkernel_def():
        if each.provider == "CPUExecutionProvider" and each.domain in ("", "ai.onnx"):
            first, last = each.version_range
            types = {name: tuple(allowed) for name, allowed in each.type_constraints.items()}
            found[each.op_name].append(Kernel(first, None if last >= _OPEN_END else last, types))
    return found
