"""Optimize a small model at several levels without the optimizer's own check, and assert what must hold.

That is: no pass left out, as valid as before, interface kept, same numbers in onnxruntime. Passes must be
right by themselves; the check that comes after them may not be what makes them so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from graphopt.compile import optimize
from graphopt.execute.compare import compare
from graphopt.execute.session import Session
from graphopt.io import Interface, to_proto
from graphopt.ir import is_constant_node, nodes
from graphopt.report import Report
from graphopt.testing.inputs import model_inputs
from graphopt.testing.text import parse_model

LEVELS = (1, 2)
RTOL = 1e-5
"""Of single-precision results at levels that may round differently."""


@dataclasses.dataclass(frozen=True)
class LevelRun:
    """What a level made of a model.

    Attributes:
        model: As it reads from its serialized form.
        proto: That form.
        report: The optimizer's.
    """

    model: ir.Model
    proto: onnx.ModelProto
    report: Report

    @property
    def ops(self) -> list[str]:
        """Operators of every graph, in order, Constant left out."""
        return [node.op_type for node in nodes(self.model) if not is_constant_node(node)]


def optimize_levels(
    model: ir.Model | onnx.ModelProto | str,
    *,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    opset: int = 18,
    levels: Sequence[int] = LEVELS,
    rtol: float | None = RTOL,
    specials: bool = True,
) -> dict[int, LevelRun]:
    """Optimize at each level, unchecked, and assert that the outcome is the same model.

    Args:
        model: A model, or its ONNX text (see `parse_model`).
        inputs: Sets of inputs to compare on; random ones that fit by default, () to compare none.
        opset: For a text without a header.
        levels: Level 1 must keep every bit.
        rtol: Tolerance above level 1; None for that of each type.
        specials: Let random inputs hold NaN and infinities at level 1.

    Returns:
        The outcome by level.
    """
    if isinstance(model, str):
        model = parse_model(model, opset=opset)
    original = model if isinstance(model, onnx.ModelProto) else to_proto(model)
    before = ir.from_proto(original)
    runs = {}
    for level in levels:
        result = optimize(original, level=level, check=False, measure=False)
        assert not result.report.left_out, result.report.left_out
        proto = to_proto(result.model)
        assert_as_valid(original, proto)
        run = LevelRun(ir.from_proto(proto), proto, result.report)
        differences = Interface.of(before).differences(run.model)
        assert not differences, differences
        exact = level <= 1
        feeds = model_inputs(before, special=exact and specials) if inputs is None else inputs
        _assert_same_numbers(before, run.model, feeds, rtol=None if exact else rtol, exact=exact)
        runs[level] = run
    return runs


def assert_as_valid(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Hold a model to the strictest check that the original passes.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: It is not as valid.
    """
    for full in (True, False):
        try:
            onnx.checker.check_model(before, full_check=full)
        except Exception:
            continue
        onnx.checker.check_model(after, full_check=full)
        return


def _assert_same_numbers(
    before: ir.Model, after: ir.Model, feeds: Sequence[Mapping[str, Any]], *, rtol: float | None, exact: bool
) -> None:
    if not feeds:
        return
    reference, session = Session(before), Session(after)
    assert session.backend == reference.backend
    for feed in feeds:
        for difference in compare(reference.run(feed), session.run(feed), rtol=rtol):
            assert difference.equal and (difference.exact or not exact), difference
