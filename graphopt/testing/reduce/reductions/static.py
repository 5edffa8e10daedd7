"""Dynamic dimensions to static ones."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from graphopt.testing.reduce.case import Case, Take

SIZES = (1, 2, 8, 32)
"""Tried for a dimension that no set of inputs gives a size."""


def fix_dimensions(case: Case, take: Take) -> None:
    """Give each dynamic dimension of the inputs a number: that of the inputs at hand, or a small one."""
    graph = case.model.graph
    inputs = [value for value in graph.inputs if value.shape is not None]
    names = [name for value in inputs for name in _names(value)]
    for name in dict.fromkeys(names):
        taken = [size for size in _sizes(case, name, inputs) if take()]
        for value in inputs if taken else ():
            _fix(value, name, taken[0])
    case.feeds = [
        feed for feed in case.feeds if all(_agrees(value, feed.get(value.name or "")) for value in inputs)
    ]


def _names(value: ir.Value) -> list[str]:
    """What a dimension without a name is called here is its place."""
    assert value.shape is not None
    return [
        dim.value or f"{value.name}\0{axis}"
        for axis, dim in enumerate(value.shape.dims)
        if not isinstance(dim, int)
    ]


def _sizes(case: Case, name: str, inputs: list[ir.Value]) -> list[int]:
    """Sizes to try: those that the inputs at hand have there, in order."""
    if not case.feeds:
        return list(SIZES)
    found = []
    for feed in case.feeds:
        for value in inputs:
            shape = getattr(feed.get(value.name or ""), "shape", None)
            assert value.shape is not None
            if shape is None or len(shape) != len(value.shape):
                continue
            found += [
                size
                for axis, (dim, size) in enumerate(zip(value.shape.dims, shape, strict=True))
                if not isinstance(dim, int) and (dim.value or f"{value.name}\0{axis}") == name
            ]
    return list(dict.fromkeys(found))


def _fix(value: ir.Value, name: str, size: int) -> None:
    assert value.shape is not None
    value.shape = ir.Shape(
        [
            size if not isinstance(dim, int) and (dim.value or f"{value.name}\0{axis}") == name else dim
            for axis, dim in enumerate(value.shape.dims)
        ]
    )


def _agrees(value: ir.Value, array: Any) -> bool:
    shape = getattr(array, "shape", None)
    if shape is None or value.shape is None:
        return True
    return len(shape) == len(value.shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(value.shape.dims, shape, strict=True)
    )
