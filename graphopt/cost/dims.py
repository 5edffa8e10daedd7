"""Concrete shapes: evaluates symbolic dimensions under bindings and states every size it had to assume.

It never infers a shape; that is `graphopt.ir.infer_shapes`.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import onnx_ir as ir

from graphopt.cost.call import Shape
from graphopt.errors import UsageError
from graphopt.ir import constant_tensor

SHAPES_KEY = "graphopt.shapes"
"""Under it a model's `meta` may hold shapes of inputs, by name, at which passes weigh what nodes cost."""

BATCH = 1
CHANNELS = 3
IMAGE_SIDE = 224
SEQUENCE = 128
OTHER = 1

_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*")
_FUNCTIONS: dict[str, Callable[..., Fraction | int]] = {
    "floor": math.floor,
    "ceiling": math.ceil,
    "Max": max,
    "max": max,
    "Min": min,
    "min": min,
    "Mod": lambda a, b: a % b,
    "Abs": abs,
}


class Dims:
    """Turns the shapes of a model's values into numbers.

    A dimension that neither `bindings` nor `shapes` fixes is assumed. For a graph input it is 1 on axis 0
    (batch); 3 on axis 1 and 224 further on for rank 4 and 5 (an image); 128 on axis 1 for rank 2 and 3 (a
    sequence); else 1. A size that does not follow from the inputs is guessed as 1.

    Args:
        model: The model, with inferred shapes.
        bindings: Dimension name -> size.
        shapes: Value name -> shape. Shapes of graph inputs bind the names of their dimensions; those of other
            values, taken from an execution, replace what was inferred.

    Attributes:
        assumed: Each name of an input's dimension that had no binding, or `value[axis]` where it has no name,
            and the size taken.
        guessed: The same for dimensions inside the graph.

    Raises:
        UsageError: A binding is negative, or a given shape contradicts the declared one of its input.
    """

    def __init__(
        self,
        model: ir.Model,
        bindings: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self._shapes = {name: tuple(shape) for name, shape in (shapes or {}).items()}
        self._sizes: dict[str, int] = {}
        self.assumed: dict[str, int] = {}
        self.guessed: dict[str, int] = {}
        for name, size in (bindings or {}).items():
            if size < 0:
                raise UsageError(f"dimension {name!r} is bound to {size}; a size is 0 or more")
            self._sizes[name] = size
        inputs = [value for value in model.graph.inputs if value.shape is not None]
        for value in inputs:
            self._bind(value)
        for value in inputs:
            self._assume(value)

    def shape(self, value: ir.Value | None) -> Shape | None:
        """The concrete shape of a value, or None where its rank is unknown."""
        if value is None:
            return None
        if self._shapes and value.name in self._shapes:
            return self._shapes[value.name]
        if value.shape is None:
            tensor = constant_tensor(value)
            return None if tensor is None else tuple(tensor.shape.numpy())
        dims = value.shape.dims
        for dim in dims:
            if type(dim) is not int:
                return tuple(self._size(value, axis, dim) for axis, dim in enumerate(dims))
        return dims  # type: ignore[return-value]

    def known_shape(self, value: ir.Value) -> Shape | None:
        """The concrete shape of a value, or None where a size in it does not follow from the inputs."""
        shape = self.shape(value)
        if shape is None or value.name in self._shapes or value.shape is None:
            return shape
        for axis, dim in enumerate(value.shape.dims):
            if isinstance(dim, int):
                continue
            names = [f"{value.name}[{axis}]"] if dim.value is None else [dim.value, *_names(dim.value)]
            if any(name in self.guessed for name in names):
                return None
        return shape

    def _size(self, value: ir.Value, axis: int, dim: int | ir.SymbolicDim) -> int:
        if isinstance(dim, int):
            return max(dim, 0)
        if dim.value is None:
            name = f"{value.name}[{axis}]"
            return self.assumed[name] if name in self.assumed else self.guessed.setdefault(name, OTHER)
        size = self._sizes.get(dim.value)
        if size is None:
            size = self._sizes[dim.value] = self._evaluate(dim.value)
        return size

    def _evaluate(self, text: str) -> int:
        unbound = [name for name in _names(text) if name not in self._sizes]
        if len(unbound) == 1 and unbound[0] == text:
            return self.guessed.setdefault(text, OTHER)
        for name in unbound:
            self._sizes[name] = self.guessed[name] = OTHER
        size = evaluate(text, self._sizes)
        return self.guessed.setdefault(text, OTHER) if size is None else size

    def _bind(self, value: ir.Value) -> None:
        given = self._shapes.get(value.name or "")
        if given is None or value.shape is None:
            return
        fits = len(given) == len(value.shape) and all(
            not isinstance(dim, int) or dim == size for dim, size in zip(value.shape.dims, given, strict=True)
        )
        if not fits:
            raise UsageError(f"input {value.name!r} has shape {value.shape}; {list(given)} was given")
        for dim, size in zip(value.shape.dims, given, strict=True):
            if isinstance(dim, ir.SymbolicDim) and dim.value is not None:
                self._sizes.setdefault(dim.value, size)

    def _assume(self, value: ir.Value) -> None:
        assert value.shape is not None
        if value.name in self._shapes:
            return
        rank = len(value.shape)
        for axis, dim in enumerate(value.shape.dims):
            if isinstance(dim, int):
                continue
            if dim.value is None:
                self.assumed[f"{value.name}[{axis}]"] = _default(axis, rank)
            elif dim.value not in self._sizes:
                self._sizes[dim.value] = self.assumed[dim.value] = _default(axis, rank)


def refuse_unknown(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> None:
    """See that shapes are given for inputs that a model has.

    Raises:
        UsageError: One is not.
    """
    known = [value.name or "" for value in model.graph.inputs if not value.is_initializer()]
    for name in shapes:
        if name not in known:
            raise UsageError(f"the model has no input {name!r}", hint=f"its inputs: {', '.join(known)}")


def _default(axis: int, rank: int) -> int:
    if axis == 0:
        return BATCH
    if rank >= 4:
        return CHANNELS if axis == 1 else IMAGE_SIDE
    return SEQUENCE if axis == 1 and rank in (2, 3) else OTHER


def _names(text: str) -> list[str]:
    return [name for name in _IDENTIFIER.findall(text) if name not in _FUNCTIONS]


def evaluate(text: str, sizes: Mapping[str, int]) -> int | None:
    """The value of a dimension expression such as `floor(H/2 - 1/2) + 1`, or None if it is no whole number.

    Arithmetic is exact. Written for `onnx_ir`'s printed expressions because its own evaluation goes through
    sympy, a few milliseconds for each of the nested floors of a convolution network.
    """
    names: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        if match.group() in _FUNCTIONS:
            return match.group()
        names.append(match.group())
        return f"_{len(names) - 1}"

    try:
        tree = ast.parse(_IDENTIFIER.sub(placeholder, text), mode="eval")
        value = _compute(tree.body, [sizes[name] for name in names])
    except (ArithmeticError, KeyError, RecursionError, SyntaxError, ValueError):
        return None
    return int(value) if value == int(value) and value >= 0 else None


def _compute(node: ast.expr, sizes: list[int]) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.Name(id=name):
            return Fraction(sizes[int(name[1:])])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_compute(operand, sizes)
        case ast.BinOp(left=left, op=operator, right=right):
            return _apply(operator, _compute(left, sizes), _compute(right, sizes))
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in _FUNCTIONS:
            return Fraction(_FUNCTIONS[name](*(_compute(argument, sizes) for argument in arguments)))
    raise ValueError(f"unexpected {ast.dump(node)}")


def _apply(operator: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.FloorDiv():
            return Fraction(left // right)
        case ast.Mod():
            return left % right
        case ast.Pow() if right.denominator == 1 and 0 <= right <= 8:
            return left ** int(right)
    raise ValueError(f"unexpected {ast.dump(operator)}")
