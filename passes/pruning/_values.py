"""Run a model on samples for some of its values only, and nothing that these do not depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from graphopt.execute import Session
from graphopt.ir import constant

Array = npt.NDArray[Any]


def values_of(
    model: ir.Model, names: Sequence[str], samples: Iterable[Mapping[str, Any]], threads: int
) -> Iterator[dict[str, Array]]:
    """Values by name, for one sample after the other.

    Args:
        model: Its main graph holds the values; only read.
        names: Of the values; inputs and constants of the model are handed back as they are.
        samples: Sets of inputs.
        threads: Threads of the runtime.
    """
    part = model.clone()
    wanted = set(names)
    inputs = {value.name for value in part.graph.inputs}
    found = {
        output.name: output
        for node in part.graph
        for output in node.outputs
        if output.name in wanted - inputs
    }
    known = {name: constant(model.graph.initializers.get(name)) for name in wanted - inputs - found.keys()}
    part.graph.outputs.clear()
    part.graph.outputs.extend(found[name] for name in dict.fromkeys(names) if name in found)
    RemoveUnusedNodesPass()(part)
    session = Session(part, optimize=True, threads=threads)
    for sample in samples:
        given = {name: sample[name] for name in session.input_names if name in sample}
        results = session.run(given)
        yield {name: np.asarray({**sample, **known, **results}[name]) for name in names}


def float_arrays(results: Iterable[Any]) -> list[Array]:
    """Those of a model's results that are arrays of floats."""
    return [np.asarray(each) for each in results if getattr(getattr(each, "dtype", None), "kind", "") == "f"]
