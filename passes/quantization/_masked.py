"""Whether a value is a mask or holds one: numbers beside which codes tell nothing else apart.

Large numbers alone make no mask: images, sounds and sums of many layers reach them, and codes hold those as
well as small ones. Changes nothing.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant
from graphopt.passes.operands import MASKED
from graphopt.quant.predict import HEAVY

_FAR = 16.0
"""How many times as far from zero as the highest element the lowest one of a mask is, at least."""
_BEYOND = 1e30
"""No network computes with such numbers; who holds them, holds a mask."""


def is_masked(value: ir.Value, low: float, high: float) -> bool:
    """Whether a value with elements from `low` to `high` holds those of a mask."""
    furthest = max(abs(low), abs(high))
    if furthest < -MASKED:
        return False
    if not math.isfinite(furthest) or furthest >= _BEYOND or (low <= MASKED and high < -low / _FAR):
        return True
    return _comes_of_large_constant(value)


def _comes_of_large_constant(value: ir.Value) -> bool:
    """Whether a value is made with a constant as large as those of masks, by light nodes alone."""
    seen: set[ir.Value] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        array = constant(value)
        if array is not None:
            if array.dtype.kind == "f" and np.abs(array).max(initial=0.0) >= -MASKED:
                return True
            continue
        node = value.producer()
        if node is not None and node.op_type not in HEAVY:
            waiting.extend(read for read in node.inputs if read is not None)
    return False
