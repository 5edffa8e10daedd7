"""What the user gives to run models with: data, shapes, or both, which must then agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.execute import InputSet, load_inputs


def read_inputs(
    inputs: Any, shapes: Mapping[str, Sequence[int]] | None, model: ir.Model | None = None
) -> list[InputSet] | None:
    """The sets of inputs that a user gave; None if there are none.

    Args:
        inputs: A file, a folder, arrays by input name, or None.
        shapes: Input name -> shape. Every size is at least 1.
        model: Checked against its inputs if given.

    Raises:
        UsageError: The data cannot be read or does not fit the model, a size is below 1, or an array is not
            of the shape given for it.
    """
    for name, shape in (shapes or {}).items():
        if any(size < 1 for size in shape):
            raise UsageError(f"the shape {_text(shape)} of {name!r} has a size below 1")
    if inputs is None:
        return None
    sets = load_inputs(inputs, model)
    for one in sets:
        for name in shapes or {}:
            _agree(name, (shapes or {})[name], one)
    return sets


def _agree(name: str, shape: Sequence[int], given: InputSet) -> None:
    value = given.values.get(name)
    if value is not None and not isinstance(value, list) and np.shape(value) != tuple(shape):
        raise UsageError(
            f"the shape of {name!r} is {_text(shape)}, but the inputs of "
            f"{given.description.partition(':')[0]} have {_text(np.shape(value))}",
            hint="give one of the two: inputs have shapes of their own",
        )


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "no dimensions"
