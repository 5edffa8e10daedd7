"""Names of dynamic dimensions: from `dynamic_shapes` to torch.export's form, and into the graph's shapes.

A name stands for `Dim.DYNAMIC`; torch.export calls the sizes s77 and the like, and the names come back at the
places where they were given.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch.utils import _pytree as pytree

from graphopt.errors import UsageError

_SYMBOL = re.compile(r"\b[su]\d+\b")


@dataclass(frozen=True)
class Dimension:
    """One dimension of one input that was asked to vary.

    Attributes:
        leaf: Index of the tensor among the leaves of `(args, kwargs)`.
        axis: The axis.
        name: Its name, "" where none was given.
        root: The name is that of the dimension this one is derived from, as in `2 * Dim("half")`.
    """

    leaf: int
    axis: int
    name: str
    root: bool = False


@dataclass(frozen=True)
class Dimensions:
    """The dynamic dimensions asked for.

    Attributes:
        spec: In torch.export's terms: by parameter name; None if nothing is dynamic.
        asked: Every dimension asked to vary.
    """

    spec: dict[str, Any] | None = None
    asked: tuple[Dimension, ...] = ()

    @staticmethod
    def from_user(
        dynamic_shapes: Any,
        forward: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Dimensions:
        """Read a specification in any of the forms of `trace`.

        Raises:
            UsageError: it does not fit the arguments, or gives one name to dimensions of different sizes.
        """
        if dynamic_shapes is None:
            return Dimensions()
        leaves, structure = pytree.tree_flatten((tuple(args), dict(kwargs)))
        numbered_args, numbered_kwargs = pytree.tree_unflatten(range(len(leaves)), structure)
        bound = inspect.signature(forward).bind(*numbered_args, **numbered_kwargs).arguments
        if isinstance(dynamic_shapes, (torch.export.ShapesCollection,)):
            dynamic_shapes = _collected(dynamic_shapes, bound, leaves)
        reader = _Reader(leaves)
        by_name = _by_parameter(dynamic_shapes, bound)
        spec = {name: reader.read(by_name.get(name), value, name) for name, value in bound.items()}
        reader.demand_one_size_per_name()
        return Dimensions(spec, tuple(reader.found))


class _Reader:
    """Walks a specification beside the arguments, whose leaves are numbers into `leaves`."""

    def __init__(self, leaves: Sequence[Any]) -> None:
        self._leaves = leaves
        self.found: list[Dimension] = []

    def read(self, spec: Any, value: Any, path: str) -> Any:
        if spec is None:
            return None
        if isinstance(value, int):
            return self._read_leaf(spec, value, path)
        if isinstance(value, Mapping) and isinstance(spec, Mapping):
            if unknown := [key for key in spec if key not in value]:
                raise _misfit(path, f"has no entry {unknown[0]!r}", f"its entries are {_list(value)}")
            return {key: self.read(spec.get(key), inner, f"{path}.{key}") for key, inner in value.items()}
        children = pytree.tree_leaves(value, is_leaf=lambda node: node is not value)
        parts = list(spec.values()) if isinstance(spec, Mapping) else spec
        if not isinstance(parts, (tuple, list)) or len(parts) != len(children):
            raise _misfit(
                path,
                f"holds {len(children)} values, which {spec!r} does not describe",
                "nest dynamic_shapes as the arguments are nested",
            )
        read = [
            self.read(part, child, f"{path}.{i}")
            for i, (part, child) in enumerate(zip(parts, children, strict=True))
        ]
        return type(value)(read) if type(value) in (tuple, list) else read

    def _read_leaf(self, spec: Any, leaf: int, path: str) -> Any:
        tensor = self._leaves[leaf]
        if not isinstance(tensor, torch.Tensor):
            if isinstance(spec, str):
                return torch.export.Dim.DYNAMIC
            return spec
        if not isinstance(spec, (Mapping, tuple, list)):
            raise _misfit(path, f"is a tensor, which {spec!r} does not describe", 'as in {0: "batch"}')
        entries = dict(spec) if isinstance(spec, Mapping) else dict(enumerate(spec))
        if wrong := [axis for axis in entries if not isinstance(axis, int)]:
            raise _misfit(path, f"is a tensor; {wrong[0]!r} is no axis of it", 'as in {0: "batch"}')
        rank = tensor.dim()
        if wrong := [axis for axis in entries if not -rank <= axis < rank]:
            raise _misfit(path, f"has {rank} dimensions, no dimension {wrong[0]}", "count axes from 0")
        return {axis % rank: self._read_axis(entry, leaf, axis % rank) for axis, entry in entries.items()}

    def _read_axis(self, entry: Any, leaf: int, axis: int) -> Any:
        if isinstance(entry, str):
            if not entry.isidentifier() or _SYMBOL.fullmatch(entry):
                raise UsageError(
                    f"{entry!r} cannot name a dimension",
                    hint='use letters, digits and underscores, as in "batch"; s0 and u0 are taken by torch',
                )
            self.found.append(Dimension(leaf, axis, entry))
            return torch.export.Dim.DYNAMIC
        root = getattr(entry, "root", None)
        name = getattr(root if root is not None else entry, "__name__", "")
        if entry is not None and not isinstance(entry, int) and entry is not torch.export.Dim.STATIC:
            self.found.append(Dimension(leaf, axis, name, root=root is not None))
        return entry

    def demand_one_size_per_name(self) -> None:
        sizes: dict[str, tuple[int, Dimension]] = {}
        for dimension in self.found:
            if not dimension.name or dimension.root:
                continue
            size = self._leaves[dimension.leaf].shape[dimension.axis]
            known, _ = sizes.setdefault(dimension.name, (size, dimension))
            if known != size:
                raise UsageError(
                    f"dimension {dimension.name!r} is {known} in one example input and {size} in another",
                    hint="give the dimensions two names, or examples of one size",
                )


def _by_parameter(spec: Any, bound: Mapping[str, Any]) -> Mapping[str, Any]:
    """A specification by parameter name; one of a single input may come without its wrapping."""
    names = list(bound)
    if isinstance(spec, Mapping):
        if len(names) == 1 and spec and all(isinstance(key, int) for key in spec):
            return {names[0]: spec}
        said = {key: value for key, value in spec.items() if key in bound or value is not None}
        if unknown := [key for key in said if key not in bound]:
            raise UsageError(
                f"dynamic_shapes names {unknown[0]!r}, which is no argument given",
                hint=f"the arguments are {_list(names)}",
            )
        return said
    if isinstance(spec, (tuple, list)):
        if len(names) == 1 and isinstance(bound[names[0]], tuple) and len(spec) == len(bound[names[0]]):
            return {names[0]: spec}  # forward(*args)
        if len(spec) > len(names):
            raise UsageError(
                f"dynamic_shapes describes {len(spec)} arguments, {len(names)} were given",
                hint=f"the arguments are {_list(names)}",
            )
        return dict(zip(names, spec, strict=False))
    raise UsageError(
        f"dynamic_shapes is {spec!r}, which describes no arguments",
        hint='as in {"x": {0: "batch"}}: by parameter name, then by axis',
    )


def _collected(collection: Any, bound: Mapping[str, Any], leaves: Sequence[Any]) -> dict[str, Any]:
    """A torch.export.ShapesCollection as a nested specification."""
    shapes = {id(leaf): collection[leaf] for leaf in leaves if isinstance(leaf, torch.Tensor)}
    described = [shapes.get(id(leaf)) or None for leaf in leaves]
    return {name: pytree.tree_map(lambda index: described[index], value) for name, value in bound.items()}


def _misfit(path: str, problem: str, hint: str) -> UsageError:
    return UsageError(f"dynamic_shapes does not fit the arguments: {path!r} {problem}", hint=hint)


def _list(names: Iterable[Any]) -> str:
    return ", ".join(str(name) for name in names)


def symbol_names(
    sizes: Sequence[Sequence[Any] | None], asked: Sequence[Dimension], input_names: Sequence[str | None]
) -> tuple[dict[str, str], list[str]]:
    """Names for the symbols that torch.export made.

    Args:
        sizes: Shape of each leaf of the inputs, None where it is no tensor.
        asked: The dimensions asked to vary.
        input_names: Name of each leaf's graph input.

    Returns:
        Name by symbol, and what a user should know of the dimensions, a sentence each.
    """
    names: dict[str, str] = {}
    notes: list[str] = []
    for dimension in asked:
        shape = sizes[dimension.leaf]
        if shape is None:
            continue
        size = shape[dimension.axis]
        where = f"dimension {dimension.axis} of {input_names[dimension.leaf]!r}"
        if isinstance(size, int):
            notes.append(f"{where} does not vary: forward works only where it is {size}")
            continue
        expression = size.node.expr
        if not dimension.name:
            continue
        if expression.is_Symbol or (dimension.root and len(expression.free_symbols) == 1):
            symbol = next(iter(expression.free_symbols)).name
            if names.setdefault(symbol, dimension.name) != dimension.name:
                notes.append(
                    f"dimensions {names[symbol]!r} and {dimension.name!r} must be equal: both are "
                    f"called {names[symbol]!r} in the graph"
                )
        else:
            notes.append(f"{where}, {dimension.name!r}, depends on other dimensions: it is {expression}")
    taken = {*names.values(), *(d.name for d in asked)}
    for shape, input_name in zip(sizes, input_names, strict=True):
        for axis, size in enumerate(shape or ()):
            expression = None if isinstance(size, int) else size.node.expr
            if expression is not None and expression.is_Symbol and expression.name not in names:
                name = re.sub(r"\W", "_", f"{input_name}_{axis}")
                while name in taken:
                    name += "_"
                taken.add(name)
                names[expression.name] = name
    return names, notes


def range_notes(program: torch.export.ExportedProgram, names: Mapping[str, str]) -> list[str]:
    """Sizes for which alone the graph holds, where forward branches on a size, a sentence each."""
    notes = []
    for symbol, interval in program.range_constraints.items():
        name = names.get(str(symbol))
        if name is None:
            continue
        lower, upper = interval.lower, interval.upper
        bounds = [f"at least {lower}"] if lower.is_Integer and lower > 2 else []
        if upper.is_Integer and upper < 2**31 - 1:
            bounds.append(f"at most {upper}")
        if bounds:
            notes.append(f"the graph holds where {name!r} is {' and '.join(bounds)}")
    return notes


def name_dimensions(values: Iterable[ir.Value], names: Mapping[str, str]) -> None:
    """Put names in the place of torch's symbols in shapes, in expressions too."""

    def named(match: re.Match[str]) -> str:
        return names.get(match[0], match[0])

    for value in values:
        shape = value.shape
        if shape is None or shape.is_static():
            continue
        dims = [
            _SYMBOL.sub(named, dim.value) if isinstance(dim, ir.SymbolicDim) and dim.value else dim
            for dim in shape
        ]
        value.shape = ir.Shape(dims)
