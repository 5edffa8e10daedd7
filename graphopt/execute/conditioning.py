"""How much a model's outputs move by rounding alone: its inputs changed in the last bit, its sums reordered.

An ill-conditioned model magnifies rounding beyond any fixed tolerance. What the original itself does under
changes that mean nothing is the yardstick for a candidate that falls outside the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError, LimitError
from graphopt.execute.limits import Budget
from graphopt.execute.session import Session

PERTURBATIONS = 3


def rounding_noise(
    model: ir.Model, inputs: Mapping[str, Any], expected: Mapping[str, Any], *, budget: Budget | None = None
) -> dict[str, float]:
    """Largest absolute change of each float output under changes of the size of rounding.

    Args:
        model: Run with onnxruntime's own optimizations, which reorder sums, and run as it is with every
            element of its float inputs changed by one unit in the last place.
        inputs: One set of inputs.
        expected: The outputs for it.
        budget: What the runs may take; without, there is no limit.

    Returns:
        Output name -> change; outputs that are no float arrays, or that change shape, are left out.

    Raises:
        LimitError: The budget is spent.
    """
    generator = np.random.default_rng(0)
    noise: dict[str, float] = {}
    try:
        runs = [Session(model, optimize=True, budget=budget).run(inputs)]
        session = Session(model, budget=budget)
        if any(_is_float(array) for array in inputs.values()):
            runs += [session.run(_perturbed(inputs, generator)) for _ in range(PERTURBATIONS)]
    except LimitError:
        raise
    except ExecutionError:
        return noise
    for run in runs:
        for name, array in expected.items():
            moved = run.get(name)
            if not _is_float(array) or getattr(moved, "shape", None) != array.shape:
                continue
            distance = np.abs(np.asarray(moved, np.float64) - array.astype(np.float64))
            finite = distance[np.isfinite(distance)]
            noise[name] = max(noise.get(name, 0.0), float(finite.max(initial=0.0)))
    return noise


def _perturbed(inputs: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    return {
        name: np.nextafter(array, array + generator.choice([-1, 1], array.shape).astype(array.dtype))
        if _is_float(array)
        else array
        for name, array in inputs.items()
    }


def _is_float(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.dtype in (np.float16, np.float32, np.float64)
