"""Scale and zero point of each value that is quantized, from observed ranges. Changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant
from graphopt.passes.quantization._flat import told_apart
from graphopt.passes.quantization._ranges import range_of
from graphopt.passes.quantization._units import Unit
from graphopt.quant import Affine, Scheme, affine_for_range

ALIKE = 2.0
"""Inputs of a Concat share a scale where that makes none coarser by more: then it only copies."""

NEARLY_ZERO = 2.0**-8
"""The range of what was always zero: codes may have to clamp to it."""


def parameters(units: Iterable[Unit], scheme: Scheme) -> dict[ir.Value, Affine]:
    """For each value to quantize, what its codes stand for to those who read them.

    Args:
        units: What runs on codes.
        scheme: Of activations.
    """
    chosen = list(units)
    values: dict[ir.Value, None] = {}
    for unit in chosen:
        values.update(dict.fromkeys(unit.reads))
        if unit.must_write_codes:
            values.update(dict.fromkeys(unit.writes))
    ranges = {value: _range(value) for value in values}
    groups = _Groups(values)
    fixed: dict[ir.Value, Affine] = {}
    for unit in chosen:
        if unit.same_scale:
            groups.unite([*unit.reads, *unit.writes])
        if (affine := _fixed(unit, scheme)) is not None:
            fixed.update({value: affine for value in unit.writes if value in values})
    for unit in chosen:
        if unit.node.op_type == "Concat":
            _unite_if_alike(groups, [*unit.reads, *unit.writes], ranges, fixed)
    found: dict[ir.Value, Affine] = {}
    for group in groups.all():
        given = [fixed[value] for value in group if value in fixed]
        if given:
            affine = given[0]
        else:
            low = min(ranges[value][0] for value in group)
            high = max(ranges[value][1] for value in group)
            affine = affine_for_range(low, high or (0.0 if low else NEARLY_ZERO), scheme)
        found.update(dict.fromkeys(group, affine))
    return found


def _range(value: ir.Value) -> tuple[float, float]:
    """What of a value has to be told apart."""
    array = constant(value)
    if array is not None:
        finite = array[np.isfinite(array)]
        return float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    observed = range_of(value)
    assert observed is not None
    return told_apart(value, observed)


def _fixed(unit: Unit, scheme: Scheme) -> Affine | None:
    """What the codes of an output stand for where its range is known beforehand."""
    if unit.form is not None and unit.form.top is not None and not unit.form.times_input:
        return affine_for_range(0.0, 1.0, scheme)
    if unit.rule is None or unit.rule.output_scale is None or scheme.dtype != ir.DataType.UINT8:
        return None
    unit_range = affine_for_range(0.0, 1.0, scheme)
    return replace(unit_range, scale=np.asarray(unit.rule.output_scale, np.float32))


def _unite_if_alike(
    groups: _Groups,
    values: list[ir.Value],
    ranges: dict[ir.Value, tuple[float, float]],
    fixed: dict[ir.Value, Affine],
) -> None:
    together = [value for each in values for value in groups.of(each)]
    if any(value in fixed for value in together):
        return
    low = min(ranges[value][0] for value in together)
    high = max(ranges[value][1] for value in together)
    if all((high - low) <= ALIKE * _width(ranges, groups.of(value)) for value in values):
        groups.unite(values)


def _width(ranges: dict[ir.Value, tuple[float, float]], group: list[ir.Value]) -> float:
    low, high = min(ranges[value][0] for value in group), max(ranges[value][1] for value in group)
    return max(high, 0.0) - min(low, 0.0) if math.isfinite(high - low) else math.inf


class _Groups:
    """Values that share a scale and zero point."""

    def __init__(self, values: Iterable[ir.Value]) -> None:
        self._group = {value: [value] for value in values}

    def of(self, value: ir.Value) -> list[ir.Value]:
        """The group of a value."""
        return self._group[value]

    def unite(self, values: Iterable[ir.Value]) -> None:
        """Put the groups of some values together."""
        present = [value for value in values if value in self._group]
        for value in present[1:]:
            first, other = self._group[present[0]], self._group[value]
            if first is not other:
                first.extend(other)
                self._group.update(dict.fromkeys(other, first))

    def all(self) -> list[list[ir.Value]]:
        """All groups, in the order of their first values."""
        return list({id(group): group for group in self._group.values()}.values())
