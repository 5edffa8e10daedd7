"""Make a node of any operator from its schema alone: operands of types that it takes, attributes it knows.

Operators with side conditions on their operands have recipes; what fits by chance, or because the standard
names like things alike, is found here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import onnx
import onnx.defs
import onnx_ir as ir

from graphopt.ir.ops import CONTROL_FLOW, has_schema, op_facts
from graphopt.testing.generate import arrays
from graphopt.testing.generate.attributes import attributes
from graphopt.testing.generate.builder import Builder, kind_of
from graphopt.testing.generate.known import Known, element_name
from graphopt.testing.generate.recipe import Unfit

_FORMAL = onnx.defs.OpSchema.FormalParameterOption
_MOST_VARIADIC = 3
_SHAPES = ("alike", "channels", "broadcast", "scalar", "last", "other")
_SHAPE_WEIGHTS = (5, 2, 2, 2, 1, 2)
"""How the shape of an operand relates to that of the first."""


@functools.cache
def standard_operators(opset: int) -> tuple[str, ...]:
    """Operators of the standard domain at an opset, sorted; Constant and those that hold graphs left out."""
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    found = []
    for name in sorted(names - CONTROL_FLOW - {"Constant"}):
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
    operands = _Operands(b, schema)
    for place, formal in enumerate(schema.inputs):
        if formal.option == _FORMAL.Optional and b.choices.chance(0.5):
            operands.made.append(None)
            continue
        variadic = formal.option == _FORMAL.Variadic
        count = b.choices.integer(max(formal.min_arity, 1), _MOST_VARIADIC) if variadic else 1
        for _ in range(count):
            operands.add(place)
            if variadic and not formal.is_homogeneous:
                operands.types.pop(formal.type_str, None)
    inputs = operands.made
    while inputs and inputs[-1] is None:
        inputs.pop()
    first = operands.first
    made = attributes(b, schema, first.rank if first is not None else 2)
    required = [each for each in schema.outputs if each.option == _FORMAL.Single]
    outputs = len(schema.outputs) if b.choices.chance(0.5) else max(len(required), 1)
    return b.node(op_type, inputs, made, outputs=outputs)[0]


class _Operands:
    """The inputs of a node under construction.

    Attributes:
        made: Those chosen so far.
        types: What the type parameters of the schema stand for, as far as it is settled.
    """

    def __init__(self, b: Builder, schema: onnx.defs.OpSchema) -> None:
        self.b = b
        self.schema = schema
        self.made: list[Known | None] = []
        self.types: dict[str, str] = {}
        self._facts = op_facts("", schema.name)

    @property
    def first(self) -> Known | None:
        """The first tensor, which most of the others must fit."""
        return next((each for each in self.made if each is not None and each.is_tensor), None)

    def add(self, place: int) -> None:
        """Choose an operand for a place of the schema."""
        formal = self.schema.inputs[place]
        parameter = formal.type_str
        allowed = [self.types[parameter]] if parameter in self.types else self._allowed(parameter)
        known = self._number(place, formal.name, allowed)
        if known is None:
            known = self._present(allowed) or self._constant(allowed)
        self.types[parameter] = known.type_name
        self.made.append(known)

    def _allowed(self, parameter: str) -> list[str]:
        for constraint in self.schema.type_constraints:
            if constraint.type_param_str == parameter:
                return list(constraint.allowed_type_strs)
        return [parameter]

    def _number(self, place: int, name: str, allowed: Sequence[str]) -> Known | None:
        """Shapes, axes, counts and indices, by what the standard calls them."""
        integers = [dtype for dtype in _INTEGERS if f"tensor({element_name(dtype)})" in allowed]
        make = _NUMBERS.get(name)
        if not integers or (make is None and place not in self._facts.shape_inputs):
            return None
        first = self.first
        shape = first.shape if first is not None else (2, 3)
        return self.b.ints(list_or_number(self.b, make or _some, shape), integers[0])

    def _present(self, allowed: Sequence[str]) -> Known | None:
        """A value that is there: most often one of the shape of the first operand, where there is one."""
        b = self.b
        fit = [value for value in b.visible() if value.type_name in allowed]
        if self.first is not None and b.choices.chance(0.6):
            fit = [value for value in fit if value.is_tensor and value.shape == self.first.shape]
        if not fit or b.choices.chance(0.25):
            return None
        return fit[-1 - b.choices.integer(0, len(fit) - 1)]

    def _constant(self, allowed: Sequence[str]) -> Known:
        b = self.b
        fit = [each for each in b.spec.data_types() if f"tensor({element_name(each)})" in allowed]
        if not fit:
            return self._container(allowed)
        dtype = b.choices.weighted(fit, [max(1, 12 >> place) for place in range(len(fit))])
        made = arrays.array(b.choices, dtype, self._shape(), specials=b.specials)
        if self.first is None and kind_of(dtype) != "s" and b.outer is None and b.choices.chance(0.5):
            return b.input(made)
        return b.constant(made)

    def _container(self, allowed: Sequence[str]) -> Known:
        """A graph input that is a sequence."""
        b = self.b
        fit = [each for each in b.spec.data_types() if f"seq(tensor({element_name(each)}))" in allowed]
        if not fit or b.outer is not None:
            raise Unfit(f"{self.schema.name} takes none of the element types")
        shape = b.shape()
        count = b.choices.integer(1, 3)
        return b.input([arrays.random_array(b.choices.numbers(), fit[0], shape) for _ in range(count)])

    def _shape(self) -> Sequence[int]:
        b = self.b
        if self.first is None:
            return b.shape()
        shape = self.first.shape
        kind = b.choices.weighted(_SHAPES, _SHAPE_WEIGHTS)
        if kind == "alike":
            return shape
        if kind == "broadcast":
            return b.broadcastable(shape)
        if kind == "channels" and len(shape) > 1:
            return [shape[1]]
        if kind == "last" and shape:
            return [shape[-1]]
        return [] if kind == "scalar" else b.shape()


Numbers = Callable[[Builder, Sequence[int]], int | list[int]]
"""(decisions, shape of the first operand) -> elements of an operand, or a scalar."""


def list_or_number(b: Builder, make: Numbers, shape: Sequence[int]) -> int | list[int]:
    """Now and then a list of one where a number will do, and the other way round."""
    made = make(b, shape)
    if isinstance(made, int) and b.choices.chance(0.3):
        return [made]
    return made


def _axis(b: Builder, shape: Sequence[int]) -> int:
    return b.choices.integer(0, len(shape) - 1) if shape else 0


def _axes(b: Builder, shape: Sequence[int]) -> list[int]:
    return b.choices.some(range(len(shape)), 0.5)


def _sizes(b: Builder, shape: Sequence[int]) -> list[int]:
    return [b.choices.weighted((size, 2, 1, 4), (3, 1, 1, 1)) for size in shape]


def _repeats(b: Builder, shape: Sequence[int]) -> list[int]:
    return [b.choices.choose((1, 2)) for _ in shape]


def _pads(b: Builder, shape: Sequence[int]) -> list[int]:
    return [b.choices.choose((0, 1)) for _ in range(2 * len(shape))]


def _count(b: Builder, shape: Sequence[int]) -> int:
    return b.choices.choose((2, 1, 3, 4))


def _window(b: Builder, shape: Sequence[int]) -> list[int]:
    return [b.choices.choose((2, 1)) for _ in shape[2:]] or [1, 2]


def _lengths(b: Builder, shape: Sequence[int]) -> list[int]:
    return [b.choices.choose((1, 0)) for _ in range(shape[0] if shape else 1)]


def _indices(b: Builder, shape: Sequence[int]) -> list[int]:
    return [b.choices.choose((0, 1, -1)) for _ in range(b.choices.integer(1, 3))]


def _some(b: Builder, shape: Sequence[int]) -> list[int]:
    return [b.choices.choose((1, 0, 2, -1, 3)) for _ in range(b.choices.choose((1, len(shape))))]


_INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)
_NUMBERS: dict[str, Numbers] = {
    "axis": _axis,
    "axes": _axes,
    "shape": _sizes,
    "sizes": _sizes,
    "output_shape": _sizes,
    "size": _count,
    "depth": _count,
    "length": _count,
    "dft_length": _count,
    "frame_length": _count,
    "frame_step": _count,
    "k": _count,
    "repeats": _repeats,
    "pads": _pads,
    "image_shape": _window,
    "block_shape": _window,
    "sequence_lens": _lengths,
    "batch_indices": _lengths,
    "indices": _indices,
}
"""By the names that the standard gives to inputs."""
