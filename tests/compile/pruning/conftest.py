"""Models that tests of pruning share."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.testing import parse_model


@pytest.fixture
def nothing_to_prune() -> ir.Model:
    """A Conv whose channels are the model's output."""
    weights = ", ".join(["1"] * 12)
    return parse_model(
        f"""agraph (float[1,3,4,4] x) => (float[1,4,4,4] y) <float[4,3,1,1] w = {{{weights}}}>
            {{ y = Conv(x, w) }}"""
    )
