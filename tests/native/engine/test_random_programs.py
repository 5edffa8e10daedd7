"""Programs in every wiring: what shares memory or runs in place gives the very bits of the references."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.native import Program
from graphopt.testing.programs import RECIPES, random_program


@pytest.mark.parametrize("block", range(20))
def test_engine_and_references_agree(block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        program, inputs = random_program(seed, 8 + seed % 25)
        expected = program.reference(inputs)
        for each in (program, Program.from_bytes(program.to_bytes())):
            for threads in (1, 3):
                for got, want in zip(each.run(inputs, threads), expected, strict=True):
                    assert got.dtype == want.dtype and got.shape == want.shape
                    np.testing.assert_array_equal(got, want, f"program {seed}, {threads} threads")


def test_every_recipe_is_cooked_and_every_saving_is_made() -> None:
    kinds, in_place, not_run = set(), set(), set()
    for seed in range(60):
        program, inputs = random_program(seed, 30)
        for row in program.profile(inputs, repeats=1):
            kinds.add(row.kind)
            if row.in_place:
                in_place.add(row.kind)
            if not row.runs:
                not_run.add(row.kind)
    assert kinds == RECIPES.keys()
    assert {"add", "lookup"} <= in_place
    assert not_run >= {"concat", "reshape", "slice"}
