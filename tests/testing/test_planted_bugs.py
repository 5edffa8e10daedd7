"""Classic bugs in passes are found by generated models, and each is brought to a handful of nodes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from graphopt.testing import PassFailure, reduce_failure
from graphopt.testing.check.many import check_pass_on_models

EXAMPLES = 500
MOST_NODES = 5
SEED = 0


def _load() -> Any:
    """The module beside this one, which no import finds: tests are no package."""
    path = Path(__file__).with_name("planted.py")
    specification = importlib.util.spec_from_file_location("graphopt_planted", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


PLANTED = _load().PLANTED


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
