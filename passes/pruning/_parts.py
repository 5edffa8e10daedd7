"""Part samples so that the parts are as unlike each other as may be.

What is fitted to some is tried on another. Were they alike, as crops of the same pictures are, what is
learned by heart would hold there too, and nothing be said of data that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.execute import Session
from graphopt.passes.pruning._values import float_arrays

Array = npt.NDArray[Any]


def parts(model: ir.Model, samples: Sequence[Mapping[str, Any]], threads: int, count: int) -> list[int]:
    """For each sample its part, below `count`: by the first principal component of the model's outputs.

    Outputs of axes that differ in size count as means over them. Samples take turns where no output tells
    them apart.
    """
    turns = [index % count for index in range(len(samples))]
    if len(samples) < 2 * count:
        return turns
    session = Session(model, optimize=True, threads=threads)
    results = []
    for sample in samples:
        made = session.run({name: sample[name] for name in session.input_names if name in sample})
        results.append(float_arrays(made.values()))
    features = [_features([result[index] for result in results]) for index in range(len(results[0]))]
    told = [each for each in features if each is not None]
    if not told:
        return turns
    matrix = np.nan_to_num(np.concatenate(told, axis=1), posinf=0.0, neginf=0.0)
    matrix -= matrix.mean(axis=0)
    _, vectors = np.linalg.eigh(matrix @ matrix.T)
    first = vectors[:, -1]
    if np.ptp(first) == 0:
        return turns
    first = first * np.sign(first[np.argmax(np.abs(first))])
    places = np.argsort(np.argsort(first, kind="stable"))
    return [int(count * place) // len(samples) for place in places]


def _features(arrays: Sequence[Array]) -> Array | None:
    """A row for each array, of unit variance together; None where they have no axes in common."""
    if len({each.ndim for each in arrays}) > 1:
        return None
    sizes = [{each.shape[axis] for each in arrays} for axis in range(arrays[0].ndim)]
    uneven = tuple(axis for axis, found in enumerate(sizes) if len(found) > 1)
    if any(not each.size for each in arrays):
        return None
    rows = np.stack([each.astype(np.float64).mean(axis=uneven).reshape(-1) for each in arrays])
    spread = float(np.sqrt(np.square(rows - rows.mean(axis=0)).sum()))
    return rows / spread if spread > 0 and np.isfinite(spread) else None
