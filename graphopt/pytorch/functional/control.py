"""Control flow on tensors: plain Python in eager code, torch's own operators while torch traces.

Bodies are modules; what they read from around them comes as their last operands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from graphopt.errors import TranslationError

Body = Callable[..., Sequence[Any]]
Scans = Sequence[tuple[torch.dtype, tuple[int, ...] | None]]


def branch(condition: torch.Tensor | bool, then: Body, otherwise: Body, *operands: Any) -> Any:
    """The outputs of one of two modules, by a condition of one element.

    Traced with a condition that is data, both branches are kept (`torch.cond`); they must then agree in the
    shapes and types of their outputs.

    Raises:
        TranslationError: Traced, and they do not agree.
    """
    if not isinstance(condition, torch.Tensor):
        return then(*operands) if condition else otherwise(*operands)
    condition = condition.reshape(())
    if not torch.compiler.is_compiling():
        return then(*operands) if condition else otherwise(*operands)
    try:
        return torch.cond(condition, _apart(then), _apart(otherwise), operands)
    except Exception as error:
        raise TranslationError(
            f"an If that depends on data cannot be traced: {_reason(error)}",
            hint="its branches must give tensors of the same shapes and types, or run it without tracing",
        ) from error


def loop(
    body: Body,
    count: int | None,
    condition: torch.Tensor | None,
    carried: Sequence[Any],
    captured: Sequence[Any],
    scans: Scans = (),
    always: bool = False,
) -> list[Any]:
    """Run a body again and again.

    Args:
        body: Takes the iteration, the condition, carried and captured values; returns whether to go on, the
            carried values and one step of each scanned output.
        count: How often at most; None is without a limit.
        condition: Whether to begin; None is yes.
        scans: Type and shape of a step of each scanned output; None where not even the rank is known.
        always: Whether the body never asks to stop.

    Returns:
        The carried values after the last run, then the scanned outputs, each step in a row of its own.

    Raises:
        TranslationError: Traced, and how often the body runs depends on data or on a dynamic size.
    """
    if torch.compiler.is_compiling() and not (always and type(count) is int):
        return _traced_loop(body, count, condition, carried, captured, scans)
    values, steps = list(carried), []
    goes_on = torch.tensor(True) if condition is None else condition
    iteration = 0
    while (count is None or iteration < count) and (always or bool(goes_on)):
        goes_on, *results = body(torch.tensor(iteration), goes_on, *values, *captured)
        values = results[: len(values)]
        steps.append(results[len(values) :])
        iteration += 1
    if not steps and any(shape is None for _, shape in scans):
        with torch.no_grad():  # A run for the sake of its shapes.
            _, *results = body(torch.tensor(0), goes_on, *values, *captured)
        scans = [(x.dtype, tuple(x.shape)) for x in results[len(values) :]]
    return values + _stacked(steps, scans)


def scan(
    body: Body,
    carried: Sequence[Any],
    inputs: Sequence[torch.Tensor],
    captured: Sequence[Any],
    scans: Scans = (),
    input_axes: Sequence[int] | None = None,
    input_directions: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
    output_directions: Sequence[int] | None = None,
) -> list[Any]:
    """Run a body for each slice of the inputs.

    Args:
        body: Takes carried values, a slice of each input and captured values; returns the carried values and
            one step of each scanned output.
        scans: Type and shape of a step of each scanned output.
        input_axes: What the inputs are sliced along; the first if not given.
        input_directions: 1 for those that are read from the end.
        output_axes: Where the steps of outputs are put; first if not given.
        output_directions: 1 for those that are written from the end.

    Returns:
        The carried values after the last slice, then the scanned outputs.
    """
    count = len(inputs)
    moved = [x.movedim(axis, 0) for x, axis in zip(inputs, input_axes or [0] * count, strict=True)]
    rows = [
        x.flip(0) if reverse else x for x, reverse in zip(moved, input_directions or [0] * count, strict=True)
    ]
    values: list[Any] = list(carried)
    if torch.compiler.is_compiling() and type(rows[0].shape[0]) is not int:
        values, stacked = _traced_scan(body, values, rows, captured)
    else:
        steps = []
        for row in zip(*[x.unbind(0) for x in rows], strict=True):
            results = list(body(*values, *row, *captured))
            values = results[: len(values)]
            steps.append(results[len(values) :])
        stacked = _stacked(steps, scans)
    ends = zip(
        stacked, output_axes or [0] * len(stacked), output_directions or [0] * len(stacked), strict=True
    )
    return values + [(x.flip(0) if reverse else x).movedim(0, axis) for x, axis, reverse in ends]


def _stacked(steps: list[list[Any]], scans: Scans) -> list[torch.Tensor]:
    """The steps of each scanned output in rows; without steps, no rows."""
    if steps:
        return [torch.stack(column) for column in zip(*steps, strict=True)]
    return [torch.empty((0, *(shape or ())), dtype=dtype) for dtype, shape in scans]


def _traced_loop(
    body: Body,
    count: int | torch.Tensor | None,
    condition: torch.Tensor | None,
    carried: Sequence[Any],
    captured: Sequence[Any],
    scans: Scans,
) -> list[Any]:
    """A loop as torch's own operator, which has no scanned outputs."""
    if scans:
        raise TranslationError(
            "a Loop that runs as often as data or a dynamic size says cannot be traced: it collects outputs",
            hint="give the dimension a static size, or run the module without tracing",
        )
    limit = torch.tensor(2**62 if count is None else count)
    start = torch.tensor(True) if condition is None else condition.reshape(())

    def goes_on(iteration: Any, flag: Any, *values: Any) -> Any:
        return torch.logical_and(flag, iteration < values[-1])

    def step(iteration: Any, flag: Any, *values: Any) -> Any:
        flag, *results = body(iteration, flag, *values[:-1], *captured)
        return (iteration + 1, *[_own(x) for x in (flag, *results, values[-1])])

    try:
        from torch._higher_order_ops import while_loop

        results = while_loop(goes_on, step, (torch.tensor(0), start, *carried, limit))
    except Exception as error:
        raise TranslationError(
            f"a Loop that runs as often as data or a dynamic size says cannot be traced: {_reason(error)}",
            hint="what it carries must keep its shape and type; or run the module without tracing",
        ) from error
    return list(results[2:-1])


def _traced_scan(
    body: Body, carried: list[Any], rows: list[torch.Tensor], captured: Sequence[Any]
) -> tuple[list[Any], list[torch.Tensor]]:
    """A scan over a dynamic number of rows as torch's own operator."""

    def step(values: Any, row: Any) -> Any:
        results = [_own(x) for x in body(*values, *row, *captured)]
        return results[: len(values)], results[len(values) :]

    try:
        from torch._higher_order_ops import scan as torch_scan

        values, stacked = torch_scan(step, carried, rows)
    except Exception as error:
        raise TranslationError(
            f"a Scan over a dynamic dimension cannot be traced: {_reason(error)}",
            hint="give the dimension a static size, or run the module without tracing",
        ) from error
    return list(values), list(stacked)


def _apart(body: Body) -> Body:
    """A body whose outputs share no memory with its operands, as torch.cond demands."""

    def run(*operands: Any) -> Any:
        return tuple(_own(x) for x in body(*operands))

    return run


def _own(x: torch.Tensor) -> torch.Tensor:
    """A dense copy."""
    return x.clone(memory_format=torch.contiguous_format)


def _reason(error: Exception) -> str:
    """What torch says went wrong, in one line."""
    text = str(error)
    quoted = re.search(r"got \w+\(([\"'])(.+?)\1\)", text)
    if quoted:
        return quoted[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("This higher order operator")]
    return lines[0] if lines else type(error).__name__
