"""Every pass, alone and in random pipelines, levels and targets among them, on 2,000 generated models.

Half of the seeds are always the same; the other half follow from `--graphopt-seed`, which is printed.
`benchmarks/soak.py` goes on with it for hours.
"""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.io import to_proto
from graphopt.pipeline import Pass, Pipeline
from graphopt.pipeline.spec import Group
from graphopt.testing import PassFailure, check_pass
from graphopt.testing.examples import make_example
from graphopt.testing.generate import Seeded, Unfit
from graphopt.testing.pipelines import random_pipeline

BATCH, BATCHES = 50, 20
FRESH = 1 << 20
"""Where the seeds begin that follow from the option."""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_fixed_seeds(batch: int) -> None:
    hold(BATCH * batch)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_fresh_seeds(batch: int, pytestconfig: pytest.Config) -> None:
    seed = int(pytestconfig.getoption("--graphopt-seed") or 0)
    hold(FRESH * (1 + seed) + BATCH * batch)


def hold(first: int) -> None:
    """Check a batch of examples, and that hardly any seed is without one."""
    made = 0
    for seed in range(first, first + BATCH):
        try:
            example = make_example(seed)
        except Unfit:
            continue
        made += 1
        try:
            check_pass(example.pipeline, example.model)
        except PassFailure as failure:
            failure.origin = f"seed {seed}"
            raise
    assert made > 0.9 * BATCH


def test_an_example_follows_from_its_seed() -> None:
    one, other = make_example(5), make_example(5)
    assert one.pipeline == other.pipeline
    assert to_proto(one.model) == to_proto(other.model)


def test_pipelines_are_single_passes_rows_groups_and_levels() -> None:
    pipelines = [random_pipeline(Seeded(seed)) for seed in range(200)]
    kinds = {(len(each.items) > 1, "*" in str(each)) for each in pipelines}
    assert kinds == {(False, False), (True, False), (False, True), (True, True)}
    assert (
        len({each.name for pipeline in pipelines for each in pipeline.passes() if hasattr(each, "name")}) > 50
    )


def test_pipelines_hold_no_pass_that_asks_for_data() -> None:
    passes = [each for seed in range(300) for each in random_pipeline(Seeded(seed)).passes()]
    assert not {"calibrate", "quantize-static"} & {getattr(each, "name", "") for each in passes}


def test_no_group_repeats_what_comes_last() -> None:
    """The rest of the group would put together again what it takes apart, without an end."""
    groups = [
        item
        for seed in range(2000)
        for item in random_pipeline(Seeded(seed)).items
        if isinstance(item, Group)
    ]
    assert groups
    assert not [each for group in groups for each in Pipeline([group]).passes() if _comes_last(each)]


def _comes_last(each: ir.passes.PassBase) -> bool:
    return isinstance(each, Pass) and each.comes_last
