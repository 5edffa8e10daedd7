"""A share of mutated pieces of real networks holds; benchmarks/mutated_zoo.py tries more."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MODELS = ("light_squeezenet", "light_shufflenet")
SEEDS = 6


@pytest.fixture(scope="module")
def mutated_zoo() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("mutated_zoo")


@pytest.mark.parametrize("name", MODELS)
def test_mutated_pieces_hold(mutated_zoo: Any, name: str, pytestconfig: pytest.Config) -> None:
    """The second half of the seeds follows from `--graphopt-seed`, which is printed."""
    fresh = random.Random(pytestconfig.getoption("--graphopt-seed") or "0").randrange(1, 1 << 30)
    print(f"benchmarks/mutated_zoo.py --first {fresh} --count {SEEDS} {name}.onnx")
    path = mutated_zoo.zoo.ZOO[name].path()
    found = [
        outcome for first in (0, fresh) for outcome in mutated_zoo.outcomes(path, range(first, first + SEEDS))
    ]
    assert [each for each in found if each.kind not in ("held", "unfit")] == []
    assert sum(each.kind == "held" for each in found) > SEEDS


def test_a_model_that_cannot_be_read_is_told(mutated_zoo: Any, tmp_path: Path) -> None:
    (found,) = mutated_zoo.outcomes(tmp_path / "none.onnx", range(3))
    assert (found.kind, found.seed) == ("unfit", -1)
    assert "none.onnx" in found.detail
