"""Sequences of tensors as Python lists; no function changes the list it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def construct(*items: T) -> list[T]:
    """The items as a list."""
    return list(items)


def at(items: Sequence[T], position: int) -> T:
    """The item at a position, which may count from the end."""
    return items[position]


def insert(items: Sequence[T], item: T, position: int | None = None) -> list[T]:
    """The list with an item before the position, or at the end."""
    place = len(items) if position is None else position
    return [*items[:place], item, *items[place:]]


def erase(items: Sequence[T], position: int | None = None) -> list[T]:
    """The list without the item at a position, or without the last."""
    place = (-1 if position is None else position) % len(items)
    return [*items[:place], *items[place + 1 :]]


def split(
    x: torch.Tensor, parts: int | Sequence[int], axis: int = 0, keepdims: bool = True
) -> list[torch.Tensor]:
    """Parts of `x` along an axis: of one size, the last one smaller if need be, or of the sizes given.

    Without `keepdims`, parts of size one lose the axis.
    """
    found = torch.split(x, parts, axis)
    return list(found) if keepdims else [part.squeeze(axis) for part in found]


def concat(items: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
    """The items joined along an axis."""
    return torch.cat(list(items), axis)


def stack(items: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
    """The items joined along a new axis."""
    return torch.stack(list(items), axis)


def map_(
    body: Callable[..., Sequence[Any]], inputs: Sequence[Any], captured: Sequence[Any]
) -> list[list[Any]]:
    """For each output of `body` the list of its results.

    Args:
        inputs: The first is a sequence; others are sequences of as many items, or tensors for all of them.
        captured: What the body takes from outside.
    """
    count = len(inputs[0])
    columns = [each if isinstance(each, (list, tuple)) else [each] * count for each in inputs]
    rows = [body(*row, *captured) for row in zip(*columns, strict=True)]
    return [list(column) for column in zip(*rows, strict=True)]


def nothing() -> None:
    """An optional value that is not there."""
    return None


def element(value: T | None) -> T:
    """The value of an optional one.

    Raises:
        ValueError: It is not there.
    """
    if value is None:
        raise ValueError("an optional value is asked for, but is not there")
    return value


def has_element(value: Any) -> bool:
    """Whether an optional value is there."""
    return value is not None
