"""Random small models stay what they are at both levels; benchmarks/random_models.py tries more of them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SEEDS = 200
SHARE = 20


@pytest.fixture(scope="module")
def random_models() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module("random_models")


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_random_models(random_models: Any, first: int) -> None:
    found = {}
    for seed in range(first, first + SHARE):
        model, feeds = random_models.make_model(seed)
        found[seed] = random_models.failures(model, feeds, wild=bool(seed % 2))
    assert not any(found.values()), {seed: lines for seed, lines in found.items() if lines}


def test_a_seed_always_gives_the_same_model(random_models: Any) -> None:
    one, other = (random_models.make_model(7)[0].SerializeToString() for _ in range(2))
    assert one == other
