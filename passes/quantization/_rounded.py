"""Weights that were moved onto the grid of their codes: the note that says so, and what they were before.

The note is text in the weight's `metadata_props`; what the weight, or a bias changed for its sake, was before
is kept in memory alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import Names, constant_tensor, constant_value
from graphopt.ir.edit import named_tensor
from graphopt.quant import Affine, Scheme

AFFINE_KEY = "graphopt.affine"
"""The grid on which every element lies, as JSON of an `Affine`."""
BEFORE_KEY = "graphopt.before_rounding"
"""In the `meta` of a constant: the tensor that it was."""

Array = np.ndarray[Any, np.dtype[Any]]


def move(weight: ir.Value, rounded: Array, affine: Affine) -> None:
    """Let an initializer be `rounded`, which lies on the grid of `affine`."""
    before = constant_tensor(weight)
    assert before is not None
    weight.meta.setdefault(BEFORE_KEY, before)
    weight.const_value = ir.Tensor(rounded, name=weight.name)
    weight.metadata_props[AFFINE_KEY] = affine.to_json()


def replace_for_codes(model: ir.Model, names: Names, node: ir.Node, index: int, array: Array) -> None:
    """Let a node read another constant for as long as its weights are on a grid; zeros where it had none."""
    old = node.inputs[index] if index < len(node.inputs) else None
    before = constant_tensor(old)
    value = constant_value(
        names.fresh(f"{node.outputs[0].name if old is None else old.name}/corrected"), array
    )
    value.meta[BEFORE_KEY] = ir.Tensor(np.zeros_like(array)) if before is None else before
    model.graph.initializers.add(value)
    node.resize_inputs(max(len(node.inputs), index + 1))
    node.replace_input_with(index, value)


def noted(weight: ir.Value) -> Affine | None:
    """The grid that a weight was moved onto; None if it was not."""
    text = weight.metadata_props.get(AFFINE_KEY)
    return None if text is None else Affine.from_json(text)


def noted_for(weight: ir.Value, scheme: Scheme) -> Affine | None:
    """The grid that a weight was moved onto where that is one of a scheme."""
    affine = noted(weight)
    return affine if affine is not None and affine.scheme == scheme else None


def move_back(constant: ir.Value) -> None:
    """Drop the note, and let a constant be what it was where that is known."""
    constant.metadata_props.pop(AFFINE_KEY, None)
    before = constant.meta.pop(BEFORE_KEY, None)
    if before is not None:
        constant.const_value = named_tensor(before, constant.name)
        constant.shape = ir.Shape(before.shape.numpy())
