"""Do two quantized models agree: the same but for codes that rounding moves by a step here and there?

Models on codes are no continuous functions: a number that rounds the other way is a step off, and so is what
follows from it. Even one runtime, with its optimizations and without, agrees with itself no better than that,
which is the yardstick here. Runs models and never changes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.execute import Session, compare
from graphopt.quant.measures import sqnr_db

ENOUGH_DB = 40.0
"""Differences that are a hundredth of the signal count as none: 8 bits make larger ones."""
SLACK_DB = 6.0
"""A model may differ twice as much as the runtime differs from itself."""
STEPS_SHARE = 0.999
"""Of codes, so many are a step off at most."""
OTHERS_SHARE = 0.999
"""Of indices and the like, so many are the same, or as many as in the runtime's two forms."""
MOST_SAMPLES = 8

Arrays = Mapping[str, Any]


def disagreement(expected: ir.Model, actual: ir.Model, samples: Iterable[Arrays], threads: int = 1) -> str:
    """Which output differs by more than rounding, and by how much; "" if none does.

    Args:
        expected: The model that is right.
        actual: Another form of it.
        samples: Sets of inputs, of which a few are used.
        threads: Threads of the runtime.

    Raises:
        ExecutionError: A model cannot be run.
    """
    few = list(itertools.islice(samples, MOST_SAMPLES))
    plain = _runs(expected, few, optimize=False, threads=threads)
    optimized = _runs(expected, few, optimize=True, threads=threads)
    found = _runs(actual, few, optimize=True, threads=threads)
    for value in expected.graph.outputs:
        if reason := _output(value.name or "", plain, optimized, found):
            return f"output {value.name!r}: {reason}"
    return ""


def _runs(model: ir.Model, samples: Sequence[Arrays], *, optimize: bool, threads: int) -> list[Arrays]:
    session = Session(model, optimize=optimize, threads=threads)
    return [session.run(values) for values in samples]


def _output(name: str, plain: Sequence[Arrays], optimized: Sequence[Arrays], found: Sequence[Arrays]) -> str:
    for one, other in zip(optimized, found, strict=True):
        (difference,) = compare({name: one[name]}, other)
        if not difference.equal and not difference.same_pattern and not _is_codes(one[name], other.get(name)):
            return difference.reason
    if not all(isinstance(one[name], np.ndarray) and one[name].dtype.kind in "iubf" for one in plain):
        return _same(name, optimized, found)
    sides = [np.concatenate([one[name].ravel() for one in each]) for each in (plain, optimized, found)]
    if sides[0].dtype.kind == "f" or (sides[0].dtype.itemsize == 1 and sides[0].dtype.kind in "iu"):
        return _numbers(*(side.astype(np.float64) for side in sides), codes=sides[0].dtype.kind != "f")
    alike = max(np.mean(sides[2] == sides[0]), np.mean(sides[2] == sides[1])) if sides[0].size else 1.0
    own = np.mean(sides[0] == sides[1]) if sides[0].size else 1.0
    return "" if alike >= min(OTHERS_SHARE, own) else f"{1 - alike:.2%} of its elements differ"


def _is_codes(one: Any, other: Any) -> bool:
    arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return arrays and one.shape == other.shape and one.dtype == other.dtype and one.dtype.kind in "iub"


def _same(name: str, expected: Sequence[Arrays], found: Sequence[Arrays]) -> str:
    pairs = zip(expected, found, strict=True)
    return next(filter(None, (compare({name: one[name]}, other)[0].reason for one, other in pairs)), "")


def _numbers(plain: Any, optimized: Any, found: Any, *, codes: bool) -> str:
    finite = np.isfinite(plain) & np.isfinite(optimized) & np.isfinite(found)
    plain, optimized, found = plain[finite], optimized[finite], found[finite]
    if not plain.size:
        return ""
    if codes and min(np.mean(np.abs(found - each) > 1) for each in (plain, optimized)) <= 1 - STEPS_SHARE:
        return ""
    reached = max(sqnr_db(plain, found), sqnr_db(optimized, found))
    own = sqnr_db(plain, optimized)
    least = min(ENOUGH_DB, own - SLACK_DB)
    if reached >= least:
        return ""
    return f"its signal is {reached:.0f} dB above the difference, and {own:.0f} dB above what rounding makes"
