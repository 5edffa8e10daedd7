"""What quantizing did, as tables for a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from graphopt.report.layout import NODE_WIDTH, columns, dim, shortened
from graphopt.report.quantization import Quantization, QuantizedLayer
from graphopt.report.units import plural, significant, size

if TYPE_CHECKING:
    from rich.console import RenderableType


def quantized(result: Quantization, *, verbose: bool = False) -> Iterator[RenderableType]:
    """Accuracy, then what stayed in float and why; with `verbose` every layer.

    Args:
        result: What was done.
        verbose: Show a line for each layer.
    """
    yield Text(_accuracy(result))
    if result.layers and verbose:
        table = columns("layer", "op", "in", "weights", ">size", "activations", ">SQNR", ">harm", "because")
        for each in result.layers:
            table.add_row(
                shortened(each.name, NODE_WIDTH), each.op, each.runs_in, each.weights,
                size(each.weight_bytes), each.inputs, _decibels(each.sqnr), _harm(each), each.reason,
            )  # fmt: skip
        yield table
        return
    counts = Counter(each.runs_in for each in result.layers)
    if counts:
        yield dim(
            ", ".join(f"{count} in {what}" for what, count in counts.most_common()) + " of the heavy nodes"
        )
    left = [each for each in result.layers if each.runs_in == "float"]
    if left:
        table = columns(">float", "op", "because", "for example")
        for (op, reason), count in Counter((each.op, each.reason) for each in left).most_common():
            example = next(each.name for each in left if (each.op, each.reason) == (op, reason))
            table.add_row(str(count), op, reason, shortened(example, NODE_WIDTH))
        yield table


def _accuracy(result: Quantization) -> str:
    told = f"quantized: {result.scheme}" if result.layers else result.scheme
    if result.value is not None:
        worst = min(result.sqnr.values(), default=math.inf)
        told += f", {result.metric} {significant(result.value, 5)}, SQNR {_decibels(worst)}"
        several = f"{result.samples} of " if result.of_samples > result.samples else ""
        what = "held-out sample" if result.held_out else "sample"
        told += f" on {several}{plural(max(result.samples, result.of_samples), what)}"
        told += ", on which ranges were calibrated as well" if result.calibrated_on else ""
    return told


def _decibels(value: float | None) -> str:
    if value is None:
        return ""
    return "exact" if value == math.inf else f"{value:.1f} dB"


def _harm(layer: QuantizedLayer) -> str:
    return "" if layer.sensitivity is None else significant(layer.sensitivity)
