"""On generated networks, the prediction is what onnxruntime runs, node by node."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import onnxruntime
import pytest

from graphopt.report.audit import audit
from graphopt.targets import Target
from graphopt.testing.generate.quantized import quantized_model


def target() -> Target:
    """onnxruntime on the CPU; the rules tell of 1.32, and the one before does less beside 16-bit codes."""
    loaded = Target.load("ort-cpu")
    rules = loaded.quantization
    assert rules is not None and rules.weight_only is not None
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32):
        return loaded
    older = replace(rules, weight_only=replace(rules.weight_only, decoded=()))
    return replace(loaded, quantization=older)


TARGET = target()
MODELS, PARTS = 320, 8


@pytest.mark.parametrize("part", range(PARTS))
def test_the_prediction_holds(part: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(part * MODELS // PARTS, (part + 1) * MODELS // PARTS):
        found = audit(quantized_model(seed), TARGET, source=str(seed), profile=False)
        wrong = [f"seed {seed}: {node.reason}; onnxruntime runs {node.found}" for node in found.disagreements]
        assert not wrong, "\n".join(wrong)
        seen.update(node.runs_in for node in found.nodes if node.agrees)
        seen["refused"] += bool(found.notes)
    assert seen["int8"] > 40 and seen["float"] > 40 and seen["refused"] < 5
