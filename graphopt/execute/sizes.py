"""Sizes and choices to try: which dimensions of a model's inputs are free and what they might be.

Pure bookkeeping: free dimensions become variables with candidates in order of preference. It makes no arrays
and runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.execute.usage import Strides, Usage, downsampling, size_hints

_IMAGE = (32, 48, 64, 96, 128, 160, 192, 224, 256, 299, 320, 384, 416, 448, 512, 640, 1024)
_BATCHES = (2, 1, 3, 4, 5, 6, 8, 10, 16, 32)
# fmt: off
GENERIC = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 100, 128, 160, 192, 224, 256,
           257, 288, 320, 384, 416, 512, 576, 640, 768, 1024, 1280, 1536, 2048, 3000, 4096, 8000, 16000)
# fmt: on
"""Sizes tried after the preferred ones: small ones first, then what published models are built for."""

REPRESENTATIVE = {
    "batch": (1,),
    "image": (128, 224, 320, 448, 640),
    "length": (32, 64, 128),
}
"""Sizes for measuring, small to large, by the kind of dimension."""

_ANONYMOUS = frozenset({"", "?", "-1", "None", "none", "unk", "unknown"})
_BATCH = re.compile(r"batch|^(n|bs|b)$|\bN\b", re.IGNORECASE)
_LENGTH = re.compile(r"seq|len|time|token|^t$|frames?", re.IGNORECASE)


@dataclass(frozen=True)
class Variable:
    """One thing that may take several values: a dimension, or a scalar input that chooses a branch.

    Attributes:
        name: The dimension's symbol, `input[axis]` if it has none, or `input` for a choice.
        kind: "batch", "image", "signal", "length", "size", "rank", or "choice".
        candidates: Values in order of preference.
        alternative: The value preferred for a second binding.
        branches: For a choice, how many leading candidates reach branches of their own; of the rest, which
            stand for "anything else", one is enough.
    """

    name: str
    kind: str
    candidates: tuple[int, ...]
    alternative: int
    branches: int = 0


@dataclass
class Space:
    """All variables of a model's inputs.

    Attributes:
        dims: Per input, each dimension as a number or the name of a variable; None if the rank is unknown.
        variables: By name, in the order of the inputs.
        start: The first values to try.
    """

    dims: dict[str, tuple[int | str, ...] | None] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    start: dict[str, int] = field(default_factory=dict)

    def add(self, variable: Variable, start: int) -> None:
        """Add a variable unless one of its name exists."""
        if variable.name not in self.variables:
            self.variables[variable.name] = variable
            self.start[variable.name] = start


def required_inputs(model: ir.Model) -> list[ir.Value]:
    """Inputs without a default: those that are not also initializers."""
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def make_space(
    model: ir.Model, usages: Mapping[str, Usage], shapes: Mapping[str, Sequence[int]] | None = None
) -> Space:
    """Turn the free dimensions of the inputs into variables.

    Args:
        model: The model.
        usages: How each required input is used.
        shapes: Sizes fixed by the user; a size below 1 leaves that dimension free.

    Raises:
        UsageError: a shape for an input that does not exist, of another rank, or against a declared size.
    """
    space = Space()
    inputs = required_inputs(model)
    fixed = dict(shapes or {})
    if unknown := [name for name in fixed if name not in {value.name for value in inputs}]:
        raise UsageError(
            f"a shape is given for {unknown[0]!r}, which is not an input of the model",
            hint=f"the inputs are {', '.join(map(_described, inputs)) or 'none'}",
        )
    granularity = downsampling(model)
    hints = size_hints(model)
    pinned = _pinned_symbols(inputs, fixed)
    for value in inputs:
        name = value.name or ""
        if value.shape is None and name not in fixed:
            space.dims[name] = None
            space.add(Variable(name, "rank", (1, 2, 3, 4, 0, 5), 1), 1)
            continue
        given = fixed.get(name)
        declared = tuple(value.shape) if value.shape is not None else (None,) * len(given or ())
        if given is not None and len(given) != len(declared):
            raise UsageError(
                f"shape {'x'.join(map(str, given))} given for input {name!r} has {len(given)} dimensions, "
                f"expected {len(declared)}"
            )
        dims: list[int | str] = []
        for axis, dim in enumerate(declared):
            wanted = given[axis] if given is not None and given[axis] > 0 else None
            size = _static(dim)
            if size is not None:
                if wanted is not None and wanted != size:
                    raise UsageError(f"input {name!r} has the fixed size {size} in axis {axis}, got {wanted}")
                dims.append(size)
                continue
            symbol = _symbol(value, axis)
            wanted = wanted if wanted is not None else pinned.get(symbol)
            if wanted is not None:
                dims.append(wanted)
                continue
            variable, start = _variable(value, axis, symbol, granularity, hints)
            space.add(variable, start)
            dims.append(variable.name)
        space.dims[name] = tuple(dims)
    return space


def _pinned_symbols(inputs: Sequence[ir.Value], fixed: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Sizes that a fixed shape gives to named dimensions, which other inputs share."""
    pinned: dict[str, int] = {}
    for value in inputs:
        given = fixed.get(value.name or "")
        if given is None or value.shape is None or len(given) != len(value.shape):
            continue
        for axis, size in enumerate(given):
            symbol = _symbol(value, axis)
            if not symbol or size < 1:
                continue
            if pinned.setdefault(symbol, size) != size:
                raise UsageError(f"dimension {symbol!r} is given two sizes, {pinned[symbol]} and {size}")
    return pinned


def _described(value: ir.Value) -> str:
    """The name of an input and its sizes."""
    if value.shape is None:
        return value.name or ""
    sizes = (str(dim) if isinstance(dim, int) else dim.value or "?" for dim in value.shape)
    return f"{value.name} [{', '.join(sizes)}]"


def _static(dim: int | ir.SymbolicDim | None) -> int | None:
    return dim if isinstance(dim, int) and dim >= 0 else None


def _symbol(value: ir.Value, axis: int) -> str:
    """The name of a free dimension, or ""; what shape inference calls a nameless one is no name."""
    dim = None if value.shape is None else value.shape[axis]
    text = "" if dim is None or isinstance(dim, int) or dim.value is None else str(dim.value)
    return "" if text in _ANONYMOUS or text == f"{value.name}_{axis}" else text


def _variable(
    value: ir.Value, axis: int, symbol: str, granularity: Strides, hints: Sequence[int]
) -> tuple[Variable, int]:
    """The variable of one free dimension and its first value."""
    name = symbol or f"{value.name}[{axis}]"
    kind = _kind(value, axis, symbol, granularity)
    if kind == "batch":
        return Variable(name, kind, _BATCHES, 1), 2
    if kind == "image":
        first = _is_first_spatial(value, axis)
        step = granularity[0] if first else granularity[1]
        low = 2 * step if step >= 16 else -(-32 // step) * step
        preferred = (low, low + max(step, low // 2))
        preferred = preferred if first else preferred[::-1]
        others: tuple[int, ...] = (*_IMAGE, *hints, *GENERIC)
    elif kind == "signal":
        step = granularity[1]
        preferred = (step + step // 8, step)
        others = (step // 2 + step // 16, step // 2, 2 * step, 3 * step, *hints, *GENERIC)
    else:
        preferred = (10, 7) if kind == "length" else (4, 6)
        others = (*hints, *GENERIC)
    return Variable(name, kind, tuple(dict.fromkeys((*preferred, *others))), preferred[1]), preferred[0]


def _kind(value: ir.Value, axis: int, symbol: str, granularity: Strides) -> str:
    rank = len(value.shape) if value.shape is not None else axis + 1
    floating = value.dtype is None or value.dtype.is_floating_point()
    if rank >= 2 and (_BATCH.search(symbol) or (axis == 0 and not _LENGTH.search(symbol))):
        return "batch"
    if rank == 3 and axis == 1 and value.shape is not None and _static(value.shape[0]) and not symbol:
        return "batch"  # the state of a recurrent layer: layers x batch x features
    if (floating or value.dtype == ir.DataType.UINT8) and rank >= 4 and axis >= 1:
        return "image"
    if _LENGTH.search(symbol) and not (floating and granularity[1] >= 16):
        return "length"
    if floating and rank <= 3 and granularity[1] >= 16 and axis == rank - 1:
        return "signal"
    if not floating or axis >= 1:
        return "length"
    return "size"


def _is_first_spatial(value: ir.Value, axis: int) -> bool:
    """Whether no earlier axis is free too, so that height and width start with different sizes."""
    shape = tuple(value.shape) if value.shape is not None else ()
    return not any(_static(dim) is None for dim in shape[1:axis])
