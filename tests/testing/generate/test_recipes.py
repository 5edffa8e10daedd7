"""Recipes make nodes of what they say they make, at every version of the operator that onnxruntime runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError
from graphopt.execute.support import runs_operator
from graphopt.testing.generate import OPSETS, Seeded, Spec, Unfit, arrays
from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.guards import refusal
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import RECIPES, Recipe
from graphopt.testing.generate.run_node import run_node

TRIES = 25
"""Seeds until a recipe must have made a node; some operators take few types of those at hand."""
WITH_A_BATCH = ("Scan", 8)
"""The first version of Scan is another operator, which no recipe makes."""
NEWEST = 24
"""Opset at which idioms are tried: all operators that they are made of exist."""

CASES = [(recipe, op_type) for recipe in RECIPES for op_type in recipe.op_types]
NAMES = [f"{recipe.make.__module__.rpartition('.')[2]}-{recipe.make.__name__}-{op}" for recipe, op in CASES]


def opsets(recipe: Recipe, op_type: str) -> Iterator[int]:
    """The first opset of each version of an operator; one opset for an idiom."""
    if recipe.is_idiom:
        yield NEWEST
        return
    seen = set()
    for opset in range(OPSETS[0], OPSETS[1] + 1):
        if not onnx.defs.has(op_type, domain="", max_inclusive_version=opset):
            continue
        if (op_type, opset) == WITH_A_BATCH:
            continue
        schema = onnx.defs.get_schema(op_type, opset, "")
        if schema.since_version not in seen and not schema.deprecated and runs_operator(op_type, opset):
            seen.add(schema.since_version)
            yield opset


def makes(recipe: Recipe, op_type: str, opset: int, seed: int) -> bool:
    """Whether the recipe adds a node of the operator to a graph of a few values."""
    b = Builder(Seeded(seed), Spec(), opset=opset, ir_version=10, specials=bool(seed % 3), reference=True)
    x = b.input(arrays.random_array(b.choices.numbers(), ir.DataType.FLOAT, b.shape()))
    b.input(arrays.random_array(b.choices.numbers(), b.dtype(), b.shape()))
    b.op("Identity", x)
    before = len(b.nodes)
    try:
        recipe.make(b, op_type)
    except (Unfit, ExecutionError):
        return False
    return any(node.op_type == op_type for node in b.nodes[before:])


@pytest.mark.parametrize(("recipe", "op_type"), CASES, ids=NAMES)
def test_recipe_makes_nodes(recipe: Recipe, op_type: str) -> None:
    for opset in opsets(recipe, op_type):
        assert any(makes(recipe, op_type, opset, seed) for seed in range(TRIES)), f"none at opset {opset}"


def test_a_result_of_another_shape_than_the_standard_has_it_is_refused() -> None:
    """onnxruntime sums over nothing without reducing the shape."""
    axes = Known("axes", np.array([-1]), constant=True)
    for size in (3, 0):
        operands = [Known("x", np.ones((2, size), np.float32)), axes]
        node = onnx.helper.make_node("ReduceSum", ["x", "axes"], ["y"])
        if size:
            made = run_node(node, operands, opset=18, ir_version=9).contents["y"]
            assert isinstance(made, np.ndarray) and made.shape == (2, 1)
        else:
            try:  # some builds of onnxruntime get it right
                made = run_node(node, operands, opset=18, ir_version=9).contents["y"]
                assert isinstance(made, np.ndarray) and made.shape == (2, 1)
            except ExecutionError as error:
                assert "another shape" in str(error)


@pytest.mark.parametrize("sizes", [[1, 0], [2], None])
def test_no_sequence_of_empty_parts_is_tried(sizes: list[int] | None) -> None:
    """onnxruntime divides by the size of a part; other inputs might say 0."""
    constant = sizes is not None
    operands = [Known("x", np.ones((1, 2))), Known("s", np.array(sizes or [1]), constant=constant)]
    assert bool(refusal("SplitToSequence", {}, operands)) == (sizes != [2])


def test_no_axis_of_a_scalar_is_tried() -> None:
    operands = [Known("x", np.ones(())), Known("y", np.ones(1))]
    assert refusal("ArgMin", {"axis": 0}, operands[:1]) and not refusal("ArgMin", {"axis": 0}, operands[1:])
    assert not refusal("Neg", {}, operands[:1])


def test_nothing_is_joined_with_parts_without_elements() -> None:
    """onnxruntime does not look at their ranks, and does not survive some."""
    full, empty = Known("x", np.ones((1, 2))), Known("y", np.ones((0, 2)))
    assert refusal("Concat", {"axis": 0}, [full, empty]) and not refusal("Concat", {"axis": 0}, [full, full])
