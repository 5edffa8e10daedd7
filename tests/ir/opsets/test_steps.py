"""Every change of every operator between the oldest and the newest opset has been thought of."""

from __future__ import annotations

import onnx.defs
import pytest

from graphopt.ir.opsets import NEWEST_OPSET, OLDEST_OPSET, oldest_ir_version
from graphopt.ir.opsets.adapters import ADAPTERS
from graphopt.ir.opsets.steps import difference, steps

STEPS = sorted(
    {
        (schema.name, schema.since_version)
        for schema in onnx.defs.get_all_schemas_with_history()
        if not schema.domain and OLDEST_OPSET < schema.since_version <= NEWEST_OPSET
        if onnx.defs.has(schema.name, domain="", max_inclusive_version=schema.since_version - 1)
    }
)

SEMANTIC = {
    ("AveragePool", 19),
    ("GroupNormalization", 21),
    ("Resize", 13),
    ("RoiAlign", 16),
    ("Split", 18),
}
"""Steps that the schemas alone show as harmless, and that are not."""


@pytest.mark.parametrize(("op_type", "step"), STEPS)
def test_each_step_is_harmless_by_its_schemas_or_has_an_adapter(op_type: str, step: int) -> None:
    assert difference(op_type, step) is None or (op_type, step) in ADAPTERS


def test_adapters_stand_at_steps_that_exist() -> None:
    assert ADAPTERS.keys() <= set(STEPS)


def test_the_steps_whose_schemas_hide_a_change() -> None:
    assert {step for step in ADAPTERS if difference(*step) is None} == SEMANTIC


def test_the_documentation_was_read_up_to_the_newest_opset() -> None:
    """Schemas do not show changes of meaning: before this number grows, read what changed in words."""
    assert NEWEST_OPSET == 26


@pytest.mark.parametrize(
    ("op_type", "step", "reason"),
    [
        ("Clip", 11, "no attribute 'max' any more"),
        ("Softmax", 13, "the default of its attribute 'axis' changed"),
        ("Upsample", 10, "deprecated"),
        ("BatchNormalization", 14, "its input 'mean' became 'input_mean'"),
        ("Erf", 13, "its input 'input' takes fewer types"),
        ("Unsqueeze", 13, "no attribute 'axes' any more"),
        ("TopK", 10, "no attribute 'k' any more"),
        ("ReduceLogSum", 28, "its input 'data' takes fewer types"),
    ],
)
def test_what_a_schema_shows(op_type: str, step: int, reason: str) -> None:
    told = difference(op_type, step)
    assert told is not None
    assert reason in told


def test_steps_between_versions() -> None:
    assert steps("Squeeze", 11, 22) == (13, 21)
    assert steps("Squeeze", 13, 20) == ()
    assert steps("Gelu", 17, 21) is None


@pytest.mark.parametrize(("opset", "version"), [(7, 3), (9, 4), (11, 6), (17, 8), (21, 10), (24, 12)])
def test_ir_versions(opset: int, version: int) -> None:
    assert oldest_ir_version(opset) == version
