"""Which kernels the installed onnxruntime has, asked of itself. Without onnxruntime nothing is known.

Loads onnxruntime when first asked.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir

_OPEN_END = (1 << 31) - 1
"""What onnxruntime calls the end of a range of versions that has none."""

Type = ir.DataType | None
"""An element type, or None where it is unknown."""

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
    fit = any(each.serves(schema.since_version) for each in serving)
    return not fit or has_kernel(op_type, version, (dtype,))


@functools.cache
def has_kernel(op_type: str, version: int, inputs: tuple[Type, ...], outputs: tuple[Type, ...] = ()) -> bool:
    """Whether there is a kernel for a standard operator of these types, as an opset defines the operator.

    True as well where nothing is known of the operator or of the kernels.

    Args:
        op_type: The operator.
        version: Version of the standard operator set.
        inputs: Element types of its first inputs; None for those that are absent or unknown.
        outputs: The same of its outputs.
    """
    import onnx.defs

    if not kernels() or not onnx.defs.has(op_type, max_inclusive_version=version):
        return True
    schema: Any = onnx.defs.get_schema(op_type, version)
    wanted = [*_parameters(schema.inputs, inputs), *_parameters(schema.outputs, outputs)]
    return any(
        each.serves(schema.since_version)
        and all(parameter not in each.types or name in each.types[parameter] for parameter, name in wanted)
        for each in kernels().get(op_type, ())
    )


@functools.cache
def keeps_kernels(op_type: str, old: int, new: int) -> bool:
    """Whether what runs of a standard operator at opset `old` runs at `new`, by kernels of the same types.

    False of functions, which run without a kernel.
    """
    import onnx.defs

    if not kernels():
        return True
    if not all(onnx.defs.has(op_type, max_inclusive_version=version) for version in (old, new)):
        return False
    before: Any = onnx.defs.get_schema(op_type, old)
    since = onnx.defs.get_schema(op_type, new).since_version
    serving = kernels().get(op_type, ())
    newer = [each.types for each in serving if each.serves(since)]
    is_function = before.has_function or before.has_context_dependent_function
    return not is_function and all(
        any(_covers(types, each.types) for types in newer)
        for each in serving
        if each.serves(before.since_version)
    )


def _covers(types: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]]) -> bool:
    """Whether type parameters may be all that they may be of others."""
    return all(name in others and set(others[name]) <= set(allowed) for name, allowed in types.items())


def first_type(inputs: Sequence[ir.Value | None]) -> Type:
    """Element type of the first input; None where there is none or it is unknown."""
    return inputs[0].dtype if inputs and inputs[0] is not None else None


def runs_as_function(op_type: str, version: int, inputs: Sequence[ir.Value | None]) -> bool:
    """Whether onnxruntime may run a standard operator as the function that the standard says it is.

    It does for want of a kernel for the type of the first input; even for half floats, where it would
    otherwise add casts.
    """
    import onnx.defs

    if not onnx.defs.has(op_type, max_inclusive_version=version):
        return False
    schema: Any = onnx.defs.get_schema(op_type, version)
    is_function = schema.has_function or schema.has_context_dependent_function
    return bool(is_function) and not has_kernel(op_type, version, (first_type(inputs),))


def _parameters(formal: Sequence[Any], actual: Sequence[Type]) -> Iterator[tuple[str, str]]:
    """Type parameter and name of the type of each operand; the last formal one stands for the rest."""
    for index, dtype in enumerate(actual):
        if dtype is not None and formal:
            parameter = formal[min(index, len(formal) - 1)].type_str
            yield parameter, f"tensor({_NAMES.get(dtype, dtype.name.lower())})"


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
