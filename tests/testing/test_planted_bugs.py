"""Classic bugs in passes are found by generated models, and each is brought to a handful of nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphopt.pipeline.named import load_named
from graphopt.testing import PassFailure, reduce_failure
from graphopt.testing.check.many import check_pass_on_models

EXAMPLES = 500
MOST_NODES = 5
SEED = 0


PLANTED = load_named(f"{Path(__file__).with_name('planted.py')}:PLANTED")


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_bug_is_found_and_reduced(name: str) -> None:
    planted = PLANTED[name]
    with pytest.raises(PassFailure) as caught:
        check_pass_on_models(
            planted.make(), ops=planted.ops, opsets=planted.opsets, examples=EXAMPLES, seed=SEED
        )
    assert caught.value.property in planted.properties
    reduced = reduce_failure(caught.value)
    assert reduced.property == caught.value.property
    assert len(reduced.proto.graph.node) <= MOST_NODES, str(reduced)


def test_ten_and_more_are_planted() -> None:
    assert len(PLANTED) >= 10
