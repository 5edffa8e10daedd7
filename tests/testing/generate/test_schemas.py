"""Operators that are made from their schemas alone: nearly all, without code that names them."""

from __future__ import annotations

import pytest

from graphopt.ir import nodes
from graphopt.testing.generate import Unfit, generate_model
from graphopt.testing.generate.recipe import RECIPES
from graphopt.testing.generate.schemas import standard_operators

OPSET = 18
UNREACHED = {"MaxRoiPool", "MaxUnpool", "NonMaxSuppression", "RoiAlign", "TfIdfVectorizer"}
"""Those whose operands fit each other in ways that no schema tells."""


def is_made(op_type: str, seeds: int) -> bool:
    """Whether one of the seeds gives a model with the operator."""
    for seed in range(seeds):
        try:
            model = generate_model(seed, ops=(op_type,), opsets=(OPSET, OPSET), max_nodes=3)
        except Unfit:
            continue
        if any(node.op_type == op_type for node in nodes(model)):
            return True
    return False


WITH_RECIPE = {op_type for each in RECIPES for op_type in each.op_types}


@pytest.mark.parametrize("op_type", sorted({*standard_operators(OPSET)} - WITH_RECIPE - UNREACHED))
def test_operators_without_a_recipe_are_made(op_type: str) -> None:
    """From what the standard says of them."""
    assert is_made(op_type, seeds=25)
